import type { GetMetrics } from './get-metrics.js';
import type { GetSessionEvents } from './get-session-events.js';
import type { GetSessionStatus } from './get-session-status.js';
import type { ListSessions } from './list-sessions.js';

/** What only reads sessions: plain objects in and out. Errors are those of the methods named here. */
export interface Queries {
  /** `session.status()`. */
  readonly getSessionStatus: GetSessionStatus;
  /** `session.events()`. */
  readonly getSessionEvents: GetSessionEvents;
  /**
   * Lists sessions that are `open` or `committing`. A session that does not change while you page is listed exactly
   * once; one that does may be missed or come twice.
   *
   * @throws `INVALID_INPUT`, `STORE_UNAVAILABLE`.
   */
  readonly listSessions: ListSessions;
  /** `sessions.metrics()`. */
  readonly getMetrics: GetMetrics;
}

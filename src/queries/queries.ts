import type { GetMetrics } from './get-metrics.js';
import type { GetSessionEvents } from './get-session-events.js';
import type { GetSessionStatus } from './get-session-status.js';
import type { ListSessions } from './list-sessions.js';

/** What only reads. */
export interface Queries {
  readonly getSessionStatus: GetSessionStatus;
  readonly getSessionEvents: GetSessionEvents;
  readonly listSessions: ListSessions;
  readonly getMetrics: GetMetrics;
}

import type { EventSessions } from '../event-sessions.js';
import type { BodyLimits } from './body.js';
import { NO_STORE } from './problem.js';

/** What a request asks for: the second argument of `authorize`. */
export type Action =
  | 'start'
  | 'list'
  | 'status'
  | 'add'
  | 'events'
  | 'commit'
  | 'rollback'
  | 'recover'
  | 'metrics';

export interface Call {
  readonly request: Request;
  /** The path of the mount point, as in this request. */
  readonly mountedAt: string;
  readonly query: URLSearchParams;
  /** Of a path with `{id}`. */
  readonly sessionId: string;
  readonly sessions: EventSessions;
  readonly limits: BodyLimits;
  /**
   * Asks the `authorize` hook about the action of this route.
   *
   * @throws `FORBIDDEN`, or what the hook answers in its place
   */
  permit(sessionId?: string): Promise<void>;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** Below the mount point; `{id}` is one segment. */
  readonly path: string;
  /** Undefined: open to everybody. */
  readonly action?: Action;
  readonly handle: (call: Call) => Promise<Response>;
}

export function jsonResponse(status: number, body: unknown): Response {
  return Response.json(body, { status, headers: NO_STORE });
}

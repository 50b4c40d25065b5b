import { counted } from './counted.js';
import { EventSessionsError } from './errors.js';
import type { SessionStatus } from './lifecycle.js';

/** What commands and queries reject with when the session is not in a state for them. */
export function sessionNotOpen(sessionId: string, status: SessionStatus, action: string): EventSessionsError {
  const message = `Session ${sessionId} is ${status}, so it cannot ${action}`;
  return new EventSessionsError('SESSION_NOT_OPEN', message, { sessionId, status });
}

export function sessionNotFound(sessionId: string): EventSessionsError {
  const message = `There is no session ${sessionId}: it was never started, or it ended longer ago than the retention`;
  return new EventSessionsError('SESSION_NOT_FOUND', message, { sessionId });
}

export function sessionCorrupt(sessionId: string, expected: number, actual: number): EventSessionsError {
  const message =
    `Session ${sessionId} has counted ${counted(expected, 'event')}, but the store holds ${actual}. ` +
    'Has the store evicted keys, or has somebody changed them?';
  return new EventSessionsError('SESSION_CORRUPT', message, { sessionId, expected, actual });
}

import type { ReplayProblem } from './replay.js';

/** Why a record is put into quarantine. The other problems of a replay are none to a recovery: it publishes or discards. */
export const QUARANTINE_REASONS: Partial<Record<ReplayProblem, string>> = {
  session_unknown: 'neither the store nor the log knows this session',
  session_expired: 'the session expired before this could be brought back',
  events_missing: 'the session does not have the expected number of events; it was left open',
  events_exceeded: 'the session has more than the expected number of events; it was left open',
  already_ended: 'the session had already ended in another way',
  session_corrupt: 'the store has lost events of this session, so it cannot be committed',
};

/**
 * Whether a record with this problem waits in the log: the log of another host may still bring the start, or the missing
 * events. A record of the future, by the clock of this host, waits no longer than one of the past.
 */
export function mayPass(problem: ReplayProblem, recordedAt: number, patienceMs: number): boolean {
  const isMissing = problem === 'session_unknown' || problem === 'events_missing';
  return isMissing && Math.abs(Date.now() - recordedAt) < patienceMs;
}

/**
 * Of two requests to end a session the one that counts: the earlier one, except that a commit with a condition gives way,
 * because the condition may not have been met when the later one was acknowledged.
 */
export function endThatCounts<E extends { readonly expectedEvents: number | undefined }>(
  earlier: E | undefined,
  later: E,
): E {
  return earlier === undefined || earlier.expectedEvents !== undefined ? later : earlier;
}

import { isEventSessionsError, messageOf } from '../core/errors.js';
import type { RecoveryPass } from './recovery-pass.js';

/** Sessions in the store that nobody looks after any more, of whatever instance: overdue ones, and commits whose lease is over. */
export async function recoverInterrupted(pass: RecoveryPass): Promise<void> {
  const { ask, logger, down } = pass;
  const seen = new Set<string>();
  try {
    while (!down.store && !pass.closing.aborted) {
      // Those that could not be finished are still the longest due.
      const due = (await ask((store) => store.due(100 + seen.size))).filter((id) => !seen.has(id));
      if (due.length === 0) return;
      for (const sessionId of due) {
        if (pass.closing.aborted) return;
        seen.add(sessionId);
        pass.tally.sessions += 1;
        await recoverOne(pass, sessionId);
        pass.progress();
      }
    }
  } catch (error) {
    down.store = true;
    logger.warn('The store could not be asked for interrupted sessions', { cause: messageOf(error) });
  }
}

/** @throws `STORE_UNAVAILABLE` */
async function recoverOne(pass: RecoveryPass, sessionId: string): Promise<void> {
  const { ask, metrics, events, logger, replay, tally } = pass;
  const cause = { instance: replay.instance };
  const result = await ask((store) => store.expire(sessionId, { retentionMs: replay.retentionMs, cause }));
  if (result.outcome === 'expired') {
    const { discarded } = result;
    tally.discarded += discarded;
    metrics.sessionExpired();
    events.emit('session.expired', { sessionId, discarded });
    logger.warn('Session expired', { sessionId, discarded });
  } else if (result.outcome === 'not_due') {
    await finishCommit(pass, sessionId);
  }
}

const SETTLED = ['COMMIT_IN_PROGRESS', 'SESSION_NOT_OPEN', 'SESSION_NOT_FOUND'] as const;

/**
 * Brings a commit to its end, unless somebody else has or is about to. Answers whether it has an end now.
 *
 * @throws `STORE_UNAVAILABLE`. A commit that fails for any other reason stays for the next pass.
 */
export async function finishCommit(pass: RecoveryPass, sessionId: string): Promise<boolean> {
  const { ask, commit, tally, down, logger, window } = pass;
  const before = await ask((store) => store.get(sessionId));
  if (down.broker && before?.status === 'committing' && before.cursor < before.events) return false;
  try {
    const receipt = await commit({ sessionId });
    const { cursor = 0, deferred = 0, events = 0, leaseExpiresAt } = before ?? {};
    tally.published += Math.max(0, receipt.published - (cursor - deferred));
    // It has paid for its retries; the others need not.
    if (receipt.deferred > deferred) down.broker = true;
    // A lease that was not given back is one whose holder may have died with batches in flight.
    if (before?.status === 'committing' && leaseExpiresAt !== undefined) {
      tally.duplicatesPossible += Math.min(window, events - cursor);
    }
    return receipt.status === 'committed';
  } catch (error) {
    if (isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
    if (SETTLED.some((code) => isEventSessionsError(error, code))) {
      return !isEventSessionsError(error, 'COMMIT_IN_PROGRESS');
    }
    // What is wrong with one session (`SESSION_CORRUPT`) says nothing about the broker.
    if (isEventSessionsError(error, 'PUBLISH_FAILED') || isEventSessionsError(error, 'CONTINGENCY_FAILED')) {
      down.broker = true;
    }
    logger.warn('An interrupted commit could not be finished yet', {
      sessionId,
      commitEpoch: before?.epoch,
      cause: messageOf(error),
    });
    return false;
  }
}

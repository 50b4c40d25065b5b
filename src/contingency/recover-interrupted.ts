import { isEventSessionsError, messageOf } from '../core/errors.js';
import type { RecoveryPass } from './recovery-pass.js';

/** Sessions in the store that nobody looks after any more, of whatever instance: overdue ones, and commits whose lease is over. */
export async function recoverInterrupted(pass: RecoveryPass): Promise<void> {
  const { ask, logger, down } = pass;
  const seen = new Set<string>();
  try {
    while (!down.store) {
      const due = (await ask((store) => store.due(100))).filter((sessionId) => !seen.has(sessionId));
      if (due.length === 0) return;
      for (const sessionId of due) {
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

/** @throws `STORE_UNAVAILABLE`; a commit that fails for any other reason stays for the next pass. */
async function recoverOne(pass: RecoveryPass, sessionId: string): Promise<void> {
  const { ask, metrics, events, logger, replay, tally, down } = pass;
  const cause = { instance: replay.instance };
  const result = await ask((store) => store.expire(sessionId, { retentionMs: replay.retentionMs, cause }));
  if (result.outcome === 'expired') {
    const { discarded } = result;
    tally.discarded += discarded;
    metrics.sessionExpired();
    events.emit('session.expired', { sessionId, discarded });
    logger.warn('Session expired', { sessionId, discarded });
  } else if (result.outcome === 'not_due') {
    try {
      await finishCommit(pass, sessionId);
    } catch (error) {
      if (isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
      down.broker = true;
      logger.warn('An interrupted commit could not be finished yet', { sessionId, cause: messageOf(error) });
    }
  }
}

/** Brings a commit to its end, unless somebody else has or is about to. */
export async function finishCommit({ ask, commit, tally }: RecoveryPass, sessionId: string): Promise<void> {
  const before = await ask((store) => store.get(sessionId));
  try {
    const { published } = await commit({ sessionId });
    tally.published += Math.max(0, published - ((before?.cursor ?? 0) - (before?.deferred ?? 0)));
  } catch (error) {
    const settled = ['COMMIT_IN_PROGRESS', 'SESSION_NOT_OPEN', 'SESSION_NOT_FOUND'] as const;
    if (!settled.some((code) => isEventSessionsError(error, code))) throw error;
  }
}

import { isEventSessionsError, messageOf } from '../core/errors.js';
import { isStoreAway, type RecoveryPass } from './recovery-pass.js';

/** Sessions that are asked for at once, if those that cannot be recovered do not make it more. */
const PAGE = 100;

/**
 * Sessions in the store that nobody looks after any more, of whatever instance: overdue ones, unless they may not expire
 * now, and commits whose lease is over. One of which the store cannot take care, though it is there, keeps none of the
 * others waiting.
 */
export async function recoverInterrupted(pass: RecoveryPass, mayExpire: boolean): Promise<void> {
  const { ask, logger, down, failing } = pass;
  const seen = new Set<string>();
  const last = new Set<string>();
  let isLeft = false;

  async function recover(sessionIds: readonly string[]): Promise<void> {
    for (const sessionId of sessionIds) {
      if (pass.closing.aborted) return;
      pass.tally.sessions += 1;
      const recovering = mayExpire ? expireOrFinish(pass, sessionId) : finishCommit(pass, sessionId);
      await recovering.catch(async (error: unknown) => {
        // Something about this one session, or nothing works?
        if (await isStoreAway(pass)) throw error;
        isLeft = true;
        logger.warn('An interrupted session could not be recovered yet', {
          sessionId,
          cause: messageOf(error),
        });
      });
      pass.progress();
    }
  }

  try {
    for (let page = PAGE; !down.store && !pass.closing.aborted; ) {
      const due = await ask((store) => store.due(page));
      const fresh = due.filter((id) => !seen.has(id));
      if (fresh.length === 0 && due.length < page) break;
      // Those that could not be finished are still the longest due.
      if (fresh.length <= due.length / 2) page *= 2;
      for (const id of fresh) {
        seen.add(id);
        if (failing.has(id)) last.add(id);
      }
      await recover(fresh.filter((id) => !last.has(id)));
    }
    await recover([...failing].filter((id) => last.has(id)));
  } catch (error) {
    down.store = true;
    logger.warn('The store could not be asked for interrupted sessions', { cause: messageOf(error) });
  }
  // Only a count depends on it.
  if (!down.store) await findDealtWith(pass, seen).catch(() => {});
  // For these it was away, and the report must not say that all is done.
  if (isLeft) down.store = true;
}

/** Other instances may have dealt with what commits of this one have left. */
async function findDealtWith(
  { ask, metrics, closing }: RecoveryPass,
  seen: ReadonlySet<string>,
): Promise<void> {
  for (const sessionId of metrics.leftOver()) {
    if (closing.aborted) return;
    if (seen.has(sessionId)) continue;
    const session = await ask((store) => store.get(sessionId));
    if (session?.status !== 'committing') metrics.eventsTriedAgain(sessionId);
  }
}

/**
 * How long a session that was found overdue waits for what other instances may have recorded of it. Their recovery runs
 * every 30 s by default, and soon after a start.
 */
const EXPIRY_GRACE_MS = 120_000;

/** @throws `STORE_UNAVAILABLE` */
async function expireOrFinish(pass: RecoveryPass, sessionId: string): Promise<void> {
  const { ask, metrics, events, logger, replay, tally } = pass;
  const cause = { instance: replay.instance };
  const request = { retentionMs: replay.retentionMs, graceMs: EXPIRY_GRACE_MS, cause };
  const result = await ask((store) => store.expire(sessionId, request));
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
 * Brings a commit that has begun to its end, unless somebody else has or is about to. Answers whether the session has
 * an end now. One that is open, or just overdue, is nobody's to commit.
 *
 * @throws `STORE_UNAVAILABLE`. A commit that fails for any other reason stays for the next pass.
 */
export async function finishCommit(pass: RecoveryPass, sessionId: string): Promise<boolean> {
  const { ask, commit, tally, broker, logger, window } = pass;
  const before = await ask((store) => store.get(sessionId));
  // One that is committed as well: if it is this instance that has done it, it may not have heard of it.
  if (before?.status !== 'committing' && before?.status !== 'committed') return before?.status !== 'open';
  const { cursor, deferred, events, leaseExpiresAt } = before;
  if (broker.isDownFor(sessionId) && cursor < events) return false;
  try {
    const receipt = await commit({ sessionId });
    tally.published += Math.max(0, receipt.published - (cursor - deferred));
    // It has paid for its retries; the others need not.
    if (receipt.deferred > deferred) broker.failedAt(sessionId);
    else broker.tookAllOf(sessionId);
    // A lease that was not given back is one whose holder may have died with batches in flight.
    if (leaseExpiresAt !== undefined) {
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
      broker.failedAt(sessionId);
    }
    logger.warn('An interrupted commit could not be finished yet', {
      sessionId,
      commitEpoch: before.epoch,
      cause: messageOf(error),
    });
    return false;
  }
}

import { isEventSessionsError, messageOf } from '../core/errors.js';
import { isStoreAway, type RecoveryPass } from './recovery-pass.js';

/** Sessions that are asked for at once; more if many of them cannot be recovered. */
const PAGE = 100;

/**
 * Deals with sessions in the store that no instance looks after any more: ends overdue ones (if `mayExpire`), and
 * finishes commits whose lease has ended. A session that fails while the store works holds up none of the others.
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
        // Is it this one session, or the store as a whole?
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
  // Only a metric depends on it.
  if (!down.store) await findDealtWith(pass, seen).catch(() => {});
  // For some sessions it did not work, so the report must not say that all is done.
  if (isLeft) down.store = true;
}

/** Corrects `events.failed`: other instances may have dealt with what failed commits of this one have left. */
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
 * Finishes a commit that has begun, unless somebody else has or is doing so. Returns whether the session has ended by
 * now. A session that is open, or only overdue, is not committed. `wasGivenUp`: by an attempt with batches in flight.
 *
 * @throws `STORE_UNAVAILABLE`. A commit that fails for any other reason stays for the next pass.
 */
export async function finishCommit(
  pass: RecoveryPass,
  sessionId: string,
  wasGivenUp = false,
): Promise<boolean> {
  const { ask, commit, tally, broker, logger, window } = pass;
  const before = await ask((store) => store.get(sessionId));
  // Also if it is committed: this instance may have done that without getting the answer.
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
    if (wasGivenUp || leaseExpiresAt !== undefined) {
      tally.duplicatesPossible += Math.min(window, events - cursor);
    }
    return receipt.status === 'committed';
  } catch (error) {
    if (isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
    if (SETTLED.some((code) => isEventSessionsError(error, code))) {
      return !isEventSessionsError(error, 'COMMIT_IN_PROGRESS');
    }
    if (isEventSessionsError(error, 'SESSION_CORRUPT')) tally.corrupt += 1;
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

import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import { anySignal } from '../core/any-signal.js';
import { counted } from '../core/counted.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, isEventSessionsError, messageOf } from '../core/errors.js';
import { forgetOldest } from '../core/forget-oldest.js';
import { newId } from '../core/ids.js';
import type { CommitReceipt } from '../core/lifecycle.js';
import type { Metrics } from '../core/metrics.js';
import { sessionCorrupt, sessionNotFound, sessionNotOpen } from '../core/refusals.js';
import { idSchema, validate, wholeNumber, withMethods } from '../core/validate.js';
import type { Logger } from '../ports/logger.js';
import type { BeginCommitOutcome } from '../ports/session-store.js';
import { type CommitLease, holdLease } from '../publishing/commit-lease.js';
import type { EventProcessor } from '../publishing/event-processor.js';

export interface CommitSessionInput {
  readonly sessionId: string;
  /**
   * Commits only if the session has exactly this many events: guards against adds that never arrived. Otherwise rejects
   * with `EXPECTED_EVENTS_MISMATCH`, and the session stays open.
   */
  readonly expectedEvents?: number | undefined;
  /**
   * Aborted before the commit has begun, it rejects with the signal's reason, and nothing has changed. Aborted later,
   * it stops between two batches and resolves with status `committing` and what has been published so far; the next
   * `commit()`, or recovery, goes on from there. A commit that has begun cannot be undone.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Publishes all events of the session. Repeating it returns the first receipt.
 *
 * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN` when it was rolled back or has expired,
 * `COMMIT_IN_PROGRESS`, `EXPECTED_EVENTS_MISMATCH`, `SESSION_CORRUPT`, `STORE_UNAVAILABLE`, `PUBLISH_FAILED` (both
 * only without contingency), `CONTINGENCY_FAILED`.
 */
export type CommitSession = (input: CommitSessionInput) => Promise<CommitReceipt>;

export interface CommitSessionContext {
  readonly repository: SessionRepository;
  readonly processor: EventProcessor;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly instanceId: string;
  readonly leaseMs: number;
  readonly retentionMs: number;
  /** Aborts when the instance begins to close. */
  readonly closing: AbortSignal;
  /** Aborts when the instance has closed, whether or not this commit is done. */
  readonly over: AbortSignal;
  /** The last attempts that failed: steps that the store has not confirmed may have been done. Shared by all that commit here. */
  readonly unconfirmed: Map<string, Unconfirmed>;
}

export interface Unconfirmed {
  readonly epoch: number;
  /** What of it has been counted. */
  readonly cursor: number;
  readonly deferred: number;
  /** If it may have been finished. */
  readonly receipt: CommitReceipt | undefined;
}

export const commitSessionSchema = z.strictObject({
  sessionId: idSchema,
  expectedEvents: z.optional(wholeNumber(0)),
  signal: z.optional(
    withMethods<AbortSignal>('an AbortSignal', 'addEventListener', 'removeEventListener', 'throwIfAborted'),
  ),
});

/** How often a call of commit begins anew after it has lost its lease. */
const MAX_ROUNDS = 5;
const MAX_UNCONFIRMED = 10_000;

type Granted = Extract<BeginCommitOutcome, { outcome: 'granted' }>;

/** One attempt at a commit: what was asked, and what the store granted. */
interface Attempt extends Granted {
  readonly sessionId: string;
  readonly attemptId: string;
  /** `performance.now()` before the lease was asked for. */
  readonly askedAt: number;
  /** `performance.now()` at the call of commit. */
  readonly startedAt: number;
  readonly stop: AbortSignal;
}

export function createCommitSession(context: CommitSessionContext): CommitSession {
  const {
    repository,
    processor,
    events: domainEvents,
    metrics,
    logger,
    leaseMs,
    retentionMs,
    unconfirmed,
  } = context;
  const cause = { instance: context.instanceId };

  return async (input) => {
    const { sessionId, expectedEvents, signal } = validate(
      commitSessionSchema,
      input,
      'The options of commit',
    );
    signal?.throwIfAborted();
    const startedAt = performance.now();
    const attemptId = newId();
    const stop = anySignal(context.closing, signal);
    try {
      for (let round = 1; ; round += 1) {
        const askedAt = performance.now();
        // Once it has begun, the signal stops it between batches, and it answers.
        const attempt = { attemptId, leaseMs, expectedEvents, cause };
        const begun = await repository.beginCommit(sessionId, attempt, round === 1 ? signal : undefined);
        if (begun.outcome === 'granted') {
          const { receipt, leaseLost } = await carryOut({
            ...begun,
            sessionId,
            attemptId,
            askedAt,
            startedAt,
            stop: stop.signal,
          });
          if (leaseLost) logger.warn('A commit lost its lease', { sessionId, commitEpoch: begun.epoch });
          // Then the store has to be asked what came of the session. A store slower than the lease is left to recovery.
          if (!leaseLost || stop.signal.aborted || round === MAX_ROUNDS) return receipt;
        } else if (begun.outcome === 'deferred') {
          const durationMs = performance.now() - startedAt;
          return {
            sessionId,
            status: 'committing',
            events: begun.events,
            published: 0,
            deferred: begun.events,
            durationMs,
          };
        } else if (begun.outcome === 'committed') {
          metrics.eventsTriedAgain(sessionId);
          const { epoch, receipt } = unconfirmed.get(sessionId) ?? {};
          unconfirmed.delete(sessionId);
          if (epoch !== undefined && receipt?.durationMs === begun.receipt.durationMs) tell(epoch, receipt);
          return begun.receipt;
        } else {
          throw refusal(sessionId, begun, expectedEvents);
        }
      }
    } finally {
      stop.dispose();
    }
  };

  async function carryOut(attempt: Attempt): Promise<{ receipt: CommitReceipt; leaseLost: boolean }> {
    const { sessionId, epoch, events, cursor, deferred, stop } = attempt;
    metrics.eventsTriedAgain(sessionId);
    const before = unconfirmed.get(sessionId);
    unconfirmed.delete(sessionId);
    // If nobody else was at it in between, it was this instance that has brought it here.
    if (before !== undefined && before.epoch + 1 === epoch && before.cursor < cursor) {
      metrics.eventsPublished(cursor - deferred - (before.cursor - before.deferred));
      metrics.eventsDeferred(deferred - before.deferred);
    }
    domainEvents.emit('session.committing', { sessionId, epoch, events, cursor });
    logger.debug('Commit begun', { sessionId, commitEpoch: epoch, events, cursor });
    const lease = holdLease(
      { advance: (id, progress) => repository.askCommitting(id, (store) => store.advance(id, progress)) },
      { ...attempt, leaseMs, over: context.over },
    );
    let receipt: CommitReceipt | undefined;
    try {
      // Once it has run, the lease is finished or given back; a renewal on its way must not bring it to life again.
      const result = await processor.run({ sessionId, events, lease, signal: stop }).finally(lease.stop);
      const committing = receiptOf(attempt, lease, 'committing');
      if (result === 'lease_lost') return { receipt: committing, leaseLost: true };
      if (result === 'stopped') {
        await release(attempt);
        return { receipt: committing, leaseLost: false };
      }
      receipt = receiptOf(attempt, lease, 'committed');
      return (await finish(attempt, receipt))
        ? { receipt, leaseLost: false }
        : { receipt: committing, leaseLost: true };
    } catch (error) {
      unconfirmed.set(sessionId, { epoch, cursor: lease.cursor, deferred: lease.deferred, receipt });
      forgetOldest(unconfirmed, MAX_UNCONFIRMED);
      const failure = await leaveToRecovery(attempt, error);
      if (failure === undefined) {
        return { receipt: receiptOf(attempt, lease, 'committing'), leaseLost: false };
      }
      metrics.eventsFailed(sessionId, events - lease.cursor);
      await release(attempt);
      throw failure;
    }
  }

  /** Undefined if the log has taken it; else what the caller is told. */
  async function leaveToRecovery({ sessionId, attemptId }: Attempt, error: unknown): Promise<unknown> {
    const { deferral } = repository;
    if (deferral === undefined || !isEventSessionsError(error, 'STORE_UNAVAILABLE')) return error;
    try {
      await deferral.finishCommit(sessionId, attemptId, error);
      return undefined;
    } catch (failure) {
      return failure;
    }
  }

  /** False when another attempt has taken over. */
  async function finish({ sessionId, epoch }: Attempt, receipt: CommitReceipt): Promise<boolean> {
    const { events, deferred } = receipt;
    const ending = { epoch, cursor: events, deferred, receipt, retentionMs, cause };
    const { outcome } = await repository.finishCommit(sessionId, ending);
    if (outcome !== 'done') return false;
    tell(epoch, receipt);
    return true;
  }

  function tell(epoch: number, receipt: CommitReceipt): void {
    const { sessionId, events, published, deferred, durationMs } = receipt;
    metrics.sessionCommitted(durationMs);
    domainEvents.emit('session.committed', { sessionId, events, published, deferred, durationMs });
    logger.info('Session committed', {
      sessionId,
      commitEpoch: epoch,
      events,
      published,
      deferred,
      durationMs,
    });
  }

  /** So that the next attempt need not wait. If it fails, the lease runs out by itself. */
  async function release({ sessionId, epoch }: Attempt): Promise<void> {
    try {
      await repository.askCommitting(sessionId, (store) => store.releaseCommit(sessionId, epoch));
    } catch (error) {
      const cause = messageOf(error);
      logger.warn('The lease of a commit could not be given back', { sessionId, commitEpoch: epoch, cause });
    }
  }
}

function receiptOf(attempt: Attempt, lease: CommitLease, status: CommitReceipt['status']): CommitReceipt {
  const { sessionId, events, startedAt } = attempt;
  const { cursor, deferred } = lease;
  return {
    sessionId,
    status,
    events,
    published: cursor - deferred,
    deferred,
    durationMs: performance.now() - startedAt,
  };
}

type Refused = Exclude<BeginCommitOutcome, { outcome: 'granted' | 'committed' }>;

function refusal(
  sessionId: string,
  refused: Refused,
  expectedEvents: number | undefined,
): EventSessionsError {
  switch (refused.outcome) {
    case 'not_found':
      return sessionNotFound(sessionId);
    case 'not_open':
      return sessionNotOpen(sessionId, refused.status, 'be committed');
    case 'in_progress': {
      const { retryAfterMs } = refused;
      const message =
        `Session ${sessionId} is being committed by another attempt. Ask again for its receipt; ` +
        `if it has died, another one can take over in ${retryAfterMs} ms`;
      return new EventSessionsError('COMMIT_IN_PROGRESS', message, { sessionId, retryAfterMs });
    }
    case 'mismatch': {
      const message = `Session ${sessionId} has ${counted(refused.events, 'event')}, not the expected ${expectedEvents}; it stays open`;
      const facts = { sessionId, expected: expectedEvents, actual: refused.events };
      return new EventSessionsError('EXPECTED_EVENTS_MISMATCH', message, facts);
    }
    case 'corrupt':
      return sessionCorrupt(sessionId, refused.counted, refused.found);
  }
}

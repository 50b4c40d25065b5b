import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, isEventSessionsError } from '../core/errors.js';
import { newId } from '../core/ids.js';
import type { CommitReceipt } from '../core/lifecycle.js';
import { type Metrics, messageOf } from '../core/metrics.js';
import { idSchema, validate, wholeNumber, withMethods } from '../core/validate.js';
import type { Logger } from '../ports/logger.js';
import type { BeginCommitOutcome } from '../ports/session-store.js';
import { holdLease } from '../publishing/commit-lease.js';
import type { EventProcessor } from '../publishing/event-processor.js';
import { sessionNotFound, sessionNotOpen } from './refusals.js';

export interface CommitSessionInput {
  readonly sessionId: string;
  /** Commits only a session of exactly this many events: guards against adds that were lost on the way to you. */
  readonly expectedEvents?: number | undefined;
  /**
   * Aborted before the commit has begun: it rejects with the signal's reason, and nothing has changed. Aborted later:
   * it stops between batches and answers `committing` with what has been published; the next `commit()` or recovery
   * goes on from there. A commit that has begun cannot be undone.
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
  /** Aborts when the instance closes. */
  readonly closing: AbortSignal;
}

const inputSchema = z.strictObject({
  sessionId: idSchema,
  expectedEvents: z.optional(wholeNumber(0)),
  signal: z.optional(withMethods<AbortSignal>('an AbortSignal', 'addEventListener', 'throwIfAborted')),
});

type Granted = Extract<BeginCommitOutcome, { outcome: 'granted' }>;

export function createCommitSession(context: CommitSessionContext): CommitSession {
  const { repository, processor, events: domainEvents, metrics, logger, leaseMs, retentionMs } = context;
  const cause = { instance: context.instanceId };

  return async (input) => {
    const { sessionId, expectedEvents, signal } = validate(inputSchema, input, 'commitSession');
    signal?.throwIfAborted();
    const startedAt = performance.now();
    const receipt = (
      status: CommitReceipt['status'],
      counts: { events: number; published: number; deferred: number },
    ) => ({
      sessionId,
      status,
      ...counts,
      durationMs: performance.now() - startedAt,
    });

    for (;;) {
      const askedAt = performance.now();
      const begun = await repository.beginCommit(sessionId, {
        attemptId: newId(),
        leaseMs,
        expectedEvents,
        cause,
      });
      switch (begun.outcome) {
        case 'granted': {
          const done = await attempt(sessionId, begun, askedAt, signal, receipt);
          if (done !== undefined) return done;
          break;
        }
        case 'deferred':
          return receipt('committing', { events: begun.events, published: 0, deferred: begun.events });
        case 'committed':
          return begun.receipt;
        default:
          throw refusal(sessionId, begun, expectedEvents);
      }
    }
  };

  /** One attempt under one epoch. Undefined when another attempt has taken over: then the store knows the outcome. */
  async function attempt(
    sessionId: string,
    grant: Granted,
    askedAt: number,
    signal: AbortSignal | undefined,
    receipt: (
      status: CommitReceipt['status'],
      counts: { events: number; published: number; deferred: number },
    ) => CommitReceipt,
  ): Promise<CommitReceipt | undefined> {
    const { epoch, events, cursor } = grant;
    domainEvents.emit('session.committing', { sessionId, epoch, events, cursor });
    logger.debug('Commit begun', { sessionId, commitEpoch: epoch, events, cursor });

    const lease = holdLease(
      { advance: (id, progress) => repository.ask(undefined, (store) => store.advance(id, progress)) },
      { ...grant, sessionId, leaseMs, askedAt },
    );
    const counts = () => ({ events, published: lease.cursor - lease.deferred, deferred: lease.deferred });
    const stop = signal === undefined ? context.closing : AbortSignal.any([signal, context.closing]);
    try {
      const result = await processor.run({ sessionId, events, lease, signal: stop });
      if (result === 'lease_lost') return undefined;
      if (result === 'stopped') {
        await release(sessionId, epoch);
        return receipt('committing', counts());
      }
      return await finish(sessionId, epoch, receipt('committed', counts()));
    } catch (error) {
      return await interrupted(error);
    } finally {
      lease.stop();
    }

    /** The store went away: recovery will finish. Anything else: the session stays `committing`, free for the next attempt. */
    async function interrupted(error: unknown): Promise<CommitReceipt> {
      if (isEventSessionsError(error, 'STORE_UNAVAILABLE') && repository.hasContingency) {
        await repository.deferCommit(sessionId, error);
        return receipt('committing', counts());
      }
      metrics.eventsFailed(events - lease.cursor);
      await release(sessionId, epoch);
      throw error;
    }
  }

  async function finish(
    sessionId: string,
    epoch: number,
    receipt: CommitReceipt,
  ): Promise<CommitReceipt | undefined> {
    const { events, published, deferred, durationMs } = receipt;
    const { outcome } = await repository.ask(undefined, (store) =>
      store.finishCommit(sessionId, { epoch, cursor: events, deferred, receipt, retentionMs, cause }),
    );
    if (outcome !== 'done') return undefined;
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
    return receipt;
  }

  async function release(sessionId: string, epoch: number): Promise<void> {
    try {
      await repository.ask(undefined, (store) => store.releaseCommit(sessionId, epoch));
    } catch (error) {
      // The lease runs out by itself.
      logger.warn('The lease of a commit could not be given back', {
        sessionId,
        commitEpoch: epoch,
        cause: messageOf(error),
      });
    }
  }
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
      const message = `Session ${sessionId} is being committed by another attempt; ask again in ${retryAfterMs} ms`;
      return new EventSessionsError('COMMIT_IN_PROGRESS', message, { sessionId, retryAfterMs });
    }
    case 'mismatch': {
      const message = `Session ${sessionId} has ${refused.events} events, not the expected ${expectedEvents}; it stays open`;
      const facts = { sessionId, expected: expectedEvents, actual: refused.events };
      return new EventSessionsError('EXPECTED_EVENTS_MISMATCH', message, facts);
    }
    case 'corrupt': {
      const message =
        `Session ${sessionId} has counted ${refused.counted} events, but the store holds ${refused.found}. ` +
        'Has the store evicted keys, or has somebody changed them? Nothing is published';
      return new EventSessionsError('SESSION_CORRUPT', message, {
        sessionId,
        expected: refused.counted,
        actual: refused.found,
      });
    }
  }
}

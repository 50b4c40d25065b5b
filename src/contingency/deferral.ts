import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, messageOf } from '../core/errors.js';
import type { AcceptedEvent, StoredEvent } from '../core/event.js';
import type { Metrics } from '../core/metrics.js';
import type {
  CommitRequestedRecord,
  ContingencyLog,
  ContingencyRecord,
  RollbackRequestedRecord,
} from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import type {
  CommitAttempt,
  NewSession,
  NotOpen,
  RollbackRequest,
  StartOutcome,
} from '../ports/session-store.js';
import type { HeldRecords } from './held-records.js';
import { type KnownEnd, type KnownEnds, statusOf } from './known-ends.js';

/**
 * What is done instead of a call that the store, or the broker, could not take: it is written to the contingency log,
 * and counts as accepted.
 *
 * Whether the failed call was carried out after all does not matter, because replaying it is idempotent. Rejects with
 * `CONTINGENCY_FAILED` if the log can't take it either.
 */
export interface Deferral {
  start(session: NewSession, failure: EventSessionsError): Promise<StartOutcome | DeferredStart>;
  append(
    sessionId: string,
    events: readonly AcceptedEvent[],
    failure: EventSessionsError,
  ): Promise<NotOpen | DeferredAppend>;
  beginCommit(
    sessionId: string,
    attempt: CommitAttempt,
    failure: EventSessionsError,
  ): Promise<NotOpen | DeferredCommit>;
  /** Of a commit that has begun: it is left to recovery. */
  finishCommit(sessionId: string, attemptId: string, failure: EventSessionsError): Promise<void>;
  rollback(
    sessionId: string,
    request: RollbackRequest,
    failure: EventSessionsError,
  ): Promise<NotOpen | DeferredRollback>;
  /** Of events that the broker could not take. */
  publish(sessionId: string, events: readonly StoredEvent[], failure: EventSessionsError): Promise<void>;
}

export interface Deferred {
  readonly outcome: 'deferred';
}
export interface DeferredStart extends Deferred {
  readonly repeated: boolean;
}
export interface DeferredAppend extends Deferred {
  readonly duplicates: readonly number[];
}
/** `events`: how many events of the session this instance knows of. */
export interface DeferredCommit extends Deferred {
  readonly events: number;
}
export interface DeferredRollback extends Deferred {
  readonly discarded: number;
  readonly repeated: boolean;
}

export interface DeferralConfig {
  readonly log: ContingencyLog;
  readonly held: HeldRecords;
  readonly ends: KnownEnds;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const NONE: ReadonlySet<ContingencyRecord> = new Set();

type End = CommitRequestedRecord | RollbackRequestedRecord;

export function createDeferral(config: DeferralConfig): Deferral {
  const { log, held, ends, events: domainEvents, metrics, logger } = config;

  /** Returns those of which the like has been recorded meanwhile, by another call. */
  async function record(
    records: readonly ContingencyRecord[],
    cause: EventSessionsError,
  ): Promise<ReadonlySet<ContingencyRecord>> {
    const [first] = records;
    if (first === undefined) return NONE;
    const { sessionId, kind } = first;
    try {
      await log.append(records);
    } catch (error) {
      throw new EventSessionsError(
        'CONTINGENCY_FAILED',
        `Neither ${cause.code === 'PUBLISH_FAILED' ? 'the broker' : 'the store'} nor the contingency log could take ${kind} ` +
          `of session ${sessionId}: ${cause.message}; ${messageOf(error)}`,
        { sessionId, outcome: cause.outcome },
        error,
      );
    }
    const isKnown = held.of(sessionId) !== undefined;
    const others = kind === 'event.unpublished' ? NONE : held.hold(records);
    metrics.failure(kind, sessionId, cause);
    // Every add of an outage comes by here.
    logger[isKnown ? 'debug' : 'warn']('Recorded in the contingency log', {
      sessionId,
      kind,
      records: records.length,
      code: cause.code,
      cause: cause.message,
    });
    domainEvents.emit('contingency.recorded', { sessionId, kind, records: records.length, code: cause.code });
    return others;
  }

  /** How a session ends, if this instance has recorded its end, or has asked the store for it. */
  function endOf(sessionId: string): KnownEnd | undefined {
    const end = held.of(sessionId)?.end;
    return end === undefined ? ends.of(sessionId) : { status: statusOf(end), isSure: true };
  }

  /** Records the end of a session once, however often it is asked for. */
  async function recordEnd(end: End, failure: EventSessionsError): Promise<void> {
    const { sessionId, kind } = end;
    if (held.of(sessionId)?.end !== undefined) return;
    // A record that the log has refused may be in it all the same.
    ends.suspect(sessionId, statusOf(kind));
    await record([end], failure);
    ends.set(sessionId, statusOf(kind));
  }

  const heldEvents = (sessionId: string) => held.of(sessionId)?.eventIds.size ?? 0;

  return {
    async start({ sessionId, metadata, ttlMs }, failure) {
      const end = endOf(sessionId);
      if (end !== undefined) return { outcome: 'exists', status: end.status };
      if (held.of(sessionId)?.started) return { outcome: 'deferred', repeated: true };
      const start = { kind: 'session.started', sessionId, at: Date.now(), metadata, ttlMs } as const;
      const others = await record([start], failure);
      return { outcome: 'deferred', repeated: others.size > 0 };
    },

    async append(sessionId, events, failure) {
      const end = endOf(sessionId);
      // Events that may have come before the end are not refused: once they are in, a commit would publish them.
      if (end !== undefined && failure.outcome !== 'unknown')
        return { outcome: 'not_open', status: end.status };
      const known = held.of(sessionId)?.eventIds;
      const seen = new Set<string>();
      /** For each event the record of it, if it is not a duplicate. */
      const records = events.map(({ id, topic, json }): ContingencyRecord | undefined => {
        if (seen.has(id) || known?.has(id)) return undefined;
        seen.add(id);
        return { kind: 'event.added', sessionId, at: Date.now(), topic, event: json };
      });
      const others = await record(
        records.filter((one) => one !== undefined),
        failure,
      );
      const duplicates = records.flatMap((one, i) => (one === undefined || others.has(one) ? [i] : []));
      return { outcome: 'deferred', duplicates };
    },

    async beginCommit(sessionId, { attemptId, expectedEvents }, failure) {
      const end = endOf(sessionId);
      if (end?.status === 'rolled_back') return forestalled(sessionId, end, failure);
      await recordEnd({ ...commitRequested(sessionId, attemptId), expectedEvents }, failure);
      return { outcome: 'deferred', events: heldEvents(sessionId) };
    },

    async finishCommit(sessionId, attemptId, failure) {
      await record([{ ...commitRequested(sessionId, attemptId), begun: true }], failure);
    },

    async rollback(sessionId, { cause: { reason } }, failure) {
      const end = endOf(sessionId);
      if (end !== undefined && end.status !== 'rolled_back') return forestalled(sessionId, end, failure);
      await recordEnd({ kind: 'session.rollback_requested', sessionId, at: Date.now(), reason }, failure);
      return { outcome: 'deferred', discarded: heldEvents(sessionId), repeated: end !== undefined };
    },

    async publish(sessionId, events, failure) {
      await record(
        events.map(({ topic, sequence, json }) => ({
          kind: 'event.unpublished' as const,
          sessionId,
          at: Date.now(),
          topic,
          sequence,
          ...(failure.outcome === 'not_done' ? {} : { outcome: failure.outcome }),
          event: json,
        })),
        failure,
      );
    },
  };
}

const commitRequested = (sessionId: string, attemptId: string) =>
  ({ kind: 'session.commit_requested', sessionId, at: Date.now(), attemptId }) as const;

/** The refusal of an end because this instance has ended the session in the opposite way, or may have. */
function forestalled(sessionId: string, { status, isSure }: KnownEnd, failure: EventSessionsError): NotOpen {
  if (isSure || failure.outcome === 'not_done') return { outcome: 'not_open', status };
  const { outcome, message } = failure;
  throw new EventSessionsError(
    'CONTINGENCY_FAILED',
    `Session ${sessionId} may be ${status} by an earlier call that the contingency log could not take, ` +
      `and this one could not be recorded behind it: ${message}`,
    { sessionId, outcome },
    failure,
  );
}

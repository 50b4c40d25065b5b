import type { CircuitBreaker } from '../core/circuit-breaker.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, isEventSessionsError, messageOf } from '../core/errors.js';
import type { AcceptedEvent, StoredEvent } from '../core/event.js';
import type { Metrics } from '../core/metrics.js';
import { within } from '../core/within.js';
import type {
  CommitRequestedRecord,
  ContingencyLog,
  ContingencyRecord,
  RollbackRequestedRecord,
} from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import type {
  AppendOutcome,
  BeginCommitOutcome,
  CommitAttempt,
  CommitFinish,
  FencedOutcome,
  NewSession,
  NotFound,
  NotOpen,
  RollbackOutcome,
  RollbackRequest,
  SessionLimits,
  SessionStore,
  StartOutcome,
} from '../ports/session-store.js';
import type { HeldRecords } from './held-records.js';
import { type KnownEnd, type KnownEnds, statusOf } from './known-ends.js';
import { type ReplayContext, replayIntoStore } from './replay.js';

/**
 * The store, with the contingency log behind it.
 *
 * A command goes to the store. If the store is down (it refuses, does not answer in time, or the connection is lost),
 * the command is written to the log and counts as accepted: the outcome is `deferred`. Whether the failed call was
 * carried out after all does not matter, because replaying it is idempotent.
 *
 * **Heal before use.** As long as this instance holds records of a session, its next command on that session first
 * brings them into the store, in order. If that fails, the command is deferred behind them. So within an instance a
 * session's commands take effect in the order in which they were acknowledged. What an earlier process has left in the
 * log is held as well: before the first commands of an instance, recovery reads it.
 */
export interface SessionRepository {
  start(session: NewSession): Promise<StartOutcome | DeferredStart>;
  append(
    sessionId: string,
    events: readonly AcceptedEvent[],
    limits: SessionLimits,
  ): Promise<AppendOutcome | DeferredAppend>;
  /** Rejects with the signal's reason if it aborts before anything is asked of the store or written to the log. */
  beginCommit(
    sessionId: string,
    attempt: CommitAttempt,
    signal: AbortSignal | undefined,
  ): Promise<BeginCommitOutcome | DeferredCommit>;
  /** Not deferred: `STORE_UNAVAILABLE`. */
  finishCommit(sessionId: string, finish: CommitFinish): Promise<FencedOutcome>;
  rollback(sessionId: string, request: RollbackRequest): Promise<RollbackOutcome | DeferredRollback>;
  /** Records that a commit that has begun must be finished by recovery. */
  deferCommit(sessionId: string, attemptId: string, cause: EventSessionsError): Promise<void>;
  /** Records events that the broker could not take. */
  deferEvents(sessionId: string, events: readonly StoredEvent[], cause: EventSessionsError): Promise<void>;
  /**
   * Any other call of the store, after healing, through the breaker. Not deferred: rejects with `STORE_UNAVAILABLE`.
   */
  ask<T>(sessionId: string | undefined, call: (store: SessionStore) => Promise<T>): Promise<T>;
  /** The same for a session that is being committed, of which there is nothing to heal. */
  askCommitting<T>(sessionId: string, call: (store: SessionStore) => Promise<T>): Promise<T>;
  /** Whether outages are written to the log; without one they are errors. */
  readonly hasContingency: boolean;
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

export interface SessionRepositoryConfig {
  readonly store: SessionStore;
  readonly log: ContingencyLog | undefined;
  readonly held: HeldRecords;
  readonly ends: KnownEnds;
  readonly breaker: CircuitBreaker;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Runs a recovery pass, for sessions of which the log has more than is held here. */
  readonly recover: () => Promise<unknown>;
  readonly replay: ReplayContext;
}

/** How long a command waits for recovery to bring its session back, before it is deferred behind it. */
const HEAL_WAIT_MS = 2_000;
/** What is replayed at once. */
const HEAL_RECORDS = 500;
const HEAL_CHARACTERS = 4 * 1_048_576;

export function createSessionRepository(config: SessionRepositoryConfig): SessionRepository {
  const { store, log, held, ends, breaker, events: domainEvents, metrics, logger } = config;
  const healing = new Map<string, Promise<Healed>>();
  /** The commit or rollback that was called last and is under way, by session. */
  const ending = new Map<string, Promise<unknown>>();

  /** One call of the store, through the breaker. If the store is down and there is a log, `orElse` is done instead. */
  async function guarded<T, D = never>(
    sessionId: string | undefined,
    call: (store: SessionStore) => Promise<T>,
    orElse?: (failure: EventSessionsError) => Promise<D>,
  ): Promise<T | D> {
    let failure: EventSessionsError;
    if (breaker.allows()) {
      try {
        const result = await call(store);
        breaker.succeeded();
        return result;
      } catch (error) {
        if (isEventSessionsError(error) && error.code !== 'STORE_UNAVAILABLE') throw error;
        failure = toStoreError(error, sessionId);
        breaker.failed(failure);
      }
    } else {
      const message = 'The store has failed repeatedly and is not asked again yet';
      const facts = { sessionId, outcome: 'not_done' } as const;
      failure = new EventSessionsError('STORE_UNAVAILABLE', message, facts, breaker.lastFailure);
    }
    if (log === undefined || orElse === undefined) throw failure;
    return orElse(failure);
  }

  const inheriting = () => log !== undefined && held.inherited;

  /** Brings what is held of the session into the store. Commands that come meanwhile wait for the same heal. */
  function heal(sessionId: string): Promise<Healed> | undefined {
    if (!inheriting() && held.of(sessionId) === undefined) return undefined;
    const running = healing.get(sessionId);
    if (running !== undefined) return running;
    const heal = healNow(sessionId).finally(() => healing.delete(sessionId));
    healing.set(sessionId, heal);
    return heal;
  }

  async function healNow(sessionId: string): Promise<Healed> {
    if (inheriting()) await takeOverLog(sessionId);
    return replayHeld(sessionId);
  }

  async function takeOverLog(sessionId: string): Promise<void> {
    const mark = held.mark();
    const backlog = await log?.backlog().catch(() => undefined);
    // Not by its records: a count may be off while another process is at work on the log.
    if (backlog?.bytes === 0) {
      held.settle(mark, new Map());
      return;
    }
    await recoverWithin(sessionId);
    // Another process is at work on it, this one is closing, or it can't be read.
    if (inheriting()) throw stillInLog(sessionId);
  }

  /** One pass of recovery, or the one that is running. Whether it got everything done is for the caller to look at. */
  async function recoverWithin(sessionId: string): Promise<void> {
    const recovered = config.recover().catch(() => {});
    await within(HEAL_WAIT_MS, recovered).catch(() => {
      throw stillInLog(sessionId);
    });
  }

  async function replayHeld(sessionId: string): Promise<Healed> {
    for (let session = held.of(sessionId); session !== undefined; session = held.of(sessionId)) {
      if (session.records.length === 0) {
        // There is no point in reading the log for a store that is away.
        await guarded(sessionId, (target) => target.ping());
        await recoverWithin(sessionId);
        if (held.of(sessionId)?.spilled) throw stillInLog(sessionId);
        continue;
      }
      const batch = firstOf(session.records);
      const notReplayed = await guarded(sessionId, (target) => replayIntoStore(target, batch, config.replay));
      ends.replayed(batch, notReplayed);
      // What the store has no other place for is still in the log, for recovery to decide on.
      const early = new Set(
        notReplayed.flatMap(({ record, problem }) => (problem === 'session_unknown' ? [record] : [])),
      );
      held.drop(
        sessionId,
        batch.filter((record) => !early.has(record)),
      );
      if (early.size === batch.length) return 'session_unknown';
    }
    return 'done';
  }

  async function ask<T>(
    sessionId: string | undefined,
    call: (store: SessionStore) => Promise<T>,
  ): Promise<T> {
    if (sessionId !== undefined) await heal(sessionId)?.catch(asNotDone);
    return guarded(sessionId, call);
  }

  /**
   * Calls the store after healing, or does `orElse` if the store is down. `ifUnknown` is returned without calling the
   * store when healing has just found the session unknown: if it were started in between, the command would overtake
   * what is held.
   */
  function askOrElse<T, D>(
    sessionId: string,
    call: (store: SessionStore) => Promise<T>,
    orElse: (failure: EventSessionsError) => Promise<D>,
    ifUnknown?: T,
    signal?: AbortSignal,
  ): Promise<T | D> {
    const healing = heal(sessionId);
    // Usually there is nothing to wait for, which spares an add a promise.
    if (healing === undefined) return guarded(sessionId, call, orElse);
    return askHealed(healing, sessionId, call, orElse, ifUnknown, signal);
  }

  async function askHealed<T, D>(
    healing: Promise<Healed>,
    sessionId: string,
    call: (store: SessionStore) => Promise<T>,
    orElse: (failure: EventSessionsError) => Promise<D>,
    ifUnknown?: T,
    signal?: AbortSignal,
  ): Promise<T | D> {
    try {
      const healed = await healing.catch(asNotDone);
      if (healed === 'session_unknown' && ifUnknown !== undefined) return ifUnknown;
    } catch (error) {
      if (log === undefined || !isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
      signal?.throwIfAborted();
      return orElse(error);
    }
    signal?.throwIfAborted();
    return guarded(sessionId, call, orElse);
  }

  /** Returns those of which the like has been recorded meanwhile, by another call. */
  async function record(
    records: readonly ContingencyRecord[],
    cause: EventSessionsError,
  ): Promise<ReadonlySet<ContingencyRecord>> {
    const [first] = records;
    if (first === undefined) return NONE;
    const { sessionId, kind } = first;
    if (log === undefined) throw cause;
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

  /**
   * One commit or rollback of a session at a time: while the outcome of one is open, and may never be known, the
   * opposite must not be recorded and acknowledged.
   */
  function endInTurn<T>(sessionId: string, end: () => Promise<T>): Promise<T> {
    const result = (ending.get(sessionId) ?? Promise.resolve()).then(end);
    const ended = result
      .catch(() => {})
      .finally(() => {
        if (ending.get(sessionId) === ended) ending.delete(sessionId);
      });
    ending.set(sessionId, ended);
    return result;
  }

  /** How a session ends, if this instance has recorded its end, or has asked the store for it. */
  function endOf(sessionId: string): KnownEnd | undefined {
    const end = held.of(sessionId)?.end;
    return end === undefined ? ends.of(sessionId) : { status: statusOf(end), isSure: true };
  }

  /** The refusal of an end because this instance has ended the session in the opposite way, or may have. */
  function forestalled(
    sessionId: string,
    { status, isSure }: KnownEnd,
    failure: EventSessionsError,
  ): NotOpen {
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

  /** Records the end of a session once, however often it is asked for. */
  async function recordEnd(end: End, failure: EventSessionsError): Promise<void> {
    const { sessionId, kind } = end;
    if (held.of(sessionId)?.end !== undefined) return;
    // A record that the log has refused may be in it all the same.
    ends.suspect(sessionId, statusOf(kind));
    await record([end], failure);
    ends.set(sessionId, statusOf(kind));
  }

  async function beginIn(target: SessionStore, sessionId: string, attempt: CommitAttempt) {
    const begun = await target.beginCommit(sessionId, attempt);
    if (begun.outcome === 'granted' || begun.outcome === 'in_progress') ends.set(sessionId, 'committing');
    else if (begun.outcome === 'committed') ends.set(sessionId, 'committed');
    else if (begun.outcome === 'not_open') ends.set(sessionId, begun.status);
    else if (begun.outcome !== 'corrupt') ends.forget(sessionId);
    return begun;
  }

  async function rollBackIn(target: SessionStore, sessionId: string, request: RollbackRequest) {
    const ended = await target.rollback(sessionId, request);
    if (ended.outcome === 'rolled_back') ends.set(sessionId, 'rolled_back');
    else if (ended.outcome === 'not_open') ends.set(sessionId, ended.status);
    else ends.forget(sessionId);
    return ended;
  }

  /** A session that takes events has no end after all. */
  function learn(sessionId: string, appended: AppendOutcome): AppendOutcome {
    if (appended.outcome === 'appended') ends.forget(sessionId);
    return appended;
  }

  const heldEvents = (sessionId: string) => held.of(sessionId)?.eventIds.size ?? 0;

  return {
    hasContingency: log !== undefined,
    ask,
    askCommitting: guarded,

    start: (session) =>
      askOrElse(
        session.sessionId,
        async (target) => {
          const started = await target.start(session);
          if (started.outcome === 'created') ends.forget(session.sessionId);
          return started;
        },
        async (failure) => {
          const { sessionId, metadata, ttlMs } = session;
          const end = endOf(sessionId);
          if (end !== undefined) return { outcome: 'exists', status: end.status } as const;
          if (held.of(sessionId)?.started) return { outcome: 'deferred', repeated: true } as const;
          const start = { kind: 'session.started', sessionId, at: Date.now(), metadata, ttlMs } as const;
          const others = await record([start], failure);
          return { outcome: 'deferred', repeated: others.size > 0 } as const;
        },
      ),

    append: (sessionId, events, limits) =>
      askOrElse(
        sessionId,
        (target) => {
          const appended = target.append(sessionId, events, limits);
          return ends.of(sessionId) === undefined
            ? appended
            : appended.then((outcome) => learn(sessionId, outcome));
        },
        async (failure) => {
          const end = endOf(sessionId);
          // Events that may have come before the end are not refused: once they are in, a commit would publish them.
          if (end !== undefined && failure.outcome !== 'unknown')
            return { outcome: 'not_open', status: end.status } as const;
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
          return { outcome: 'deferred', duplicates } as const;
        },
        NOT_FOUND,
      ),

    beginCommit: (sessionId, attempt, signal) =>
      endInTurn(sessionId, () => {
        signal?.throwIfAborted();
        return askOrElse(
          sessionId,
          (target) => beginIn(target, sessionId, attempt),
          async (failure) => {
            const end = endOf(sessionId);
            if (end?.status === 'rolled_back') return forestalled(sessionId, end, failure);
            const { attemptId, expectedEvents } = attempt;
            await recordEnd(
              { kind: 'session.commit_requested', sessionId, at: Date.now(), attemptId, expectedEvents },
              failure,
            );
            return { outcome: 'deferred', events: heldEvents(sessionId) } as const;
          },
          NOT_FOUND,
          signal,
        );
      }),

    async finishCommit(sessionId, finish) {
      const finished = await guarded(sessionId, (target) => target.finishCommit(sessionId, finish));
      if (finished.outcome === 'done') ends.set(sessionId, 'committed');
      return finished;
    },

    rollback: (sessionId, request) =>
      endInTurn(sessionId, () =>
        askOrElse(
          sessionId,
          (target) => rollBackIn(target, sessionId, request),
          async (failure) => {
            const end = endOf(sessionId);
            if (end !== undefined && end.status !== 'rolled_back')
              return forestalled(sessionId, end, failure);
            const { reason } = request.cause;
            await recordEnd(
              { kind: 'session.rollback_requested', sessionId, at: Date.now(), reason },
              failure,
            );
            return {
              outcome: 'deferred',
              discarded: heldEvents(sessionId),
              repeated: end !== undefined,
            } as const;
          },
          NOT_FOUND,
        ),
      ),

    async deferCommit(sessionId, attemptId, cause) {
      await record([{ kind: 'session.commit_requested', sessionId, at: Date.now(), attemptId }], cause);
    },

    async deferEvents(sessionId, events, cause) {
      await record(
        events.map(({ topic, sequence, json }) => ({
          kind: 'event.unpublished' as const,
          sessionId,
          at: Date.now(),
          topic,
          sequence,
          ...(cause.outcome === 'not_done' ? {} : { outcome: cause.outcome }),
          event: json,
        })),
        cause,
      );
    },
  };
}

/** `session_unknown`: what is held must wait until somebody has started the session. */
type Healed = 'done' | 'session_unknown';

const NOT_FOUND: NotFound = { outcome: 'not_found' };
const NONE: ReadonlySet<ContingencyRecord> = new Set();

type End = CommitRequestedRecord | RollbackRequestedRecord;

/** The first records, as many as are replayed at once. */
function firstOf(records: readonly ContingencyRecord[]): readonly ContingencyRecord[] {
  let characters = 0;
  const over = records.findIndex((record, i) => {
    characters += 'event' in record ? record.event.length : 0;
    return i > 0 && (i === HEAL_RECORDS || characters > HEAL_CHARACTERS);
  });
  return over === -1 ? records : records.slice(0, over);
}

function stillInLog(sessionId: string): EventSessionsError {
  const message = `Session ${sessionId} has records in the contingency log that are not back in the store yet`;
  return new EventSessionsError('STORE_UNAVAILABLE', message, { sessionId, outcome: 'not_done' });
}

/** For a command that was not even tried, because healing before it failed. */
function asNotDone(error: unknown): never {
  if (!isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
  const { message, sessionId, cause } = error;
  throw new EventSessionsError('STORE_UNAVAILABLE', message, { sessionId, outcome: 'not_done' }, cause);
}

function toStoreError(error: unknown, sessionId: string | undefined): EventSessionsError {
  const known = isEventSessionsError(error);
  return new EventSessionsError(
    'STORE_UNAVAILABLE',
    messageOf(error),
    { sessionId, outcome: known ? (error.outcome ?? 'unknown') : 'unknown' },
    known ? (error.cause ?? error) : error,
  );
}

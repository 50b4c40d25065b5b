import type { CircuitBreaker } from '../core/circuit-breaker.js';
import { EventSessionsError, isEventSessionsError } from '../core/errors.js';
import type { AcceptedEvent } from '../core/event.js';
import { turnsByKey } from '../core/turns.js';
import type {
  AppendOutcome,
  BeginCommitOutcome,
  CommitAttempt,
  CommitFinish,
  FencedOutcome,
  NewSession,
  NotFound,
  RollbackOutcome,
  RollbackRequest,
  SessionLimits,
  SessionStore,
  StartOutcome,
} from '../ports/session-store.js';
import {
  createDeferral,
  type Deferral,
  type DeferralConfig,
  type DeferredAppend,
  type DeferredCommit,
  type DeferredRollback,
  type DeferredStart,
} from './deferral.js';
import { createHealing, type Healed, type HealingConfig } from './healing.js';
import type { KnownEnds } from './known-ends.js';
import { createStoreCall, type OrElse } from './store-call.js';

/**
 * The store, with the contingency log behind it.
 *
 * A command goes to the store. If the store is down (it refuses, does not answer in time, or the connection is lost),
 * the command is written to the log and counts as accepted: the outcome is `deferred`.
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
  /**
   * Any other call of the store, after healing, through the breaker. Not deferred: rejects with `STORE_UNAVAILABLE`.
   */
  ask<T>(sessionId: string | undefined, call: (store: SessionStore) => Promise<T>): Promise<T>;
  /** The same for a session that is being committed, of which there is nothing to heal. */
  askCommitting<T>(sessionId: string, call: (store: SessionStore) => Promise<T>): Promise<T>;
  /** Undefined without contingency: then outages are errors. */
  readonly deferral: Deferral | undefined;
}

export interface SessionRepositoryConfig {
  readonly store: SessionStore;
  readonly breaker: CircuitBreaker;
  readonly ends: KnownEnds;
  readonly contingency: Omit<DeferralConfig & HealingConfig, 'ends' | 'callStore'> | undefined;
}

const NOT_FOUND: NotFound = { outcome: 'not_found' };

export function createSessionRepository(config: SessionRepositoryConfig): SessionRepository {
  const { store, breaker, ends, contingency } = config;
  const callStore = createStoreCall(store, breaker);
  const deferral = contingency && createDeferral({ ...contingency, ends });
  const heal = contingency ? createHealing({ ...contingency, ends, callStore }) : () => undefined;
  /** While the outcome of a commit or rollback is open, and may never be known, the opposite must not be recorded. */
  const endInTurn = turnsByKey();

  async function ask<T>(
    sessionId: string | undefined,
    call: (store: SessionStore) => Promise<T>,
  ): Promise<T> {
    if (sessionId !== undefined) await heal(sessionId)?.catch(asNotDone);
    return callStore(sessionId, call);
  }

  /**
   * Calls the store after healing, or does `orElse` if the store is down. `ifUnknown` is returned without calling the
   * store when healing has just found the session unknown: if it were started in between, the command would overtake
   * what is held.
   */
  function askOrElse<T, D>(
    sessionId: string,
    call: (store: SessionStore) => Promise<T>,
    orElse: OrElse<D>,
    ifUnknown?: T,
    signal?: AbortSignal,
  ): Promise<T | D> {
    const healing = heal(sessionId);
    // Usually there is nothing to wait for, which spares an add a promise.
    if (healing === undefined) return callStore(sessionId, call, orElse);
    return askHealed(healing, sessionId, call, orElse, ifUnknown, signal);
  }

  async function askHealed<T, D>(
    healing: Promise<Healed>,
    sessionId: string,
    call: (store: SessionStore) => Promise<T>,
    orElse: OrElse<D>,
    ifUnknown?: T,
    signal?: AbortSignal,
  ): Promise<T | D> {
    try {
      const healed = await healing.catch(asNotDone);
      if (healed === 'session_unknown' && ifUnknown !== undefined) return ifUnknown;
    } catch (error) {
      if (orElse === undefined || !isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
      signal?.throwIfAborted();
      return orElse(error);
    }
    signal?.throwIfAborted();
    return callStore(sessionId, call, orElse);
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

  return {
    deferral,
    ask,
    askCommitting: callStore,

    start: (session) =>
      askOrElse(
        session.sessionId,
        async (target) => {
          const started = await target.start(session);
          if (started.outcome === 'created') ends.forget(session.sessionId);
          return started;
        },
        deferral && ((failure) => deferral.start(session, failure)),
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
        deferral && ((failure) => deferral.append(sessionId, events, failure)),
        NOT_FOUND,
      ),

    beginCommit: (sessionId, attempt, signal) =>
      endInTurn(sessionId, () => {
        signal?.throwIfAborted();
        return askOrElse(
          sessionId,
          (target) => beginIn(target, sessionId, attempt),
          deferral && ((failure) => deferral.beginCommit(sessionId, attempt, failure)),
          NOT_FOUND,
          signal,
        );
      }),

    async finishCommit(sessionId, finish) {
      const finished = await callStore(sessionId, (target) => target.finishCommit(sessionId, finish));
      if (finished.outcome === 'done') ends.set(sessionId, 'committed');
      return finished;
    },

    rollback: (sessionId, request) =>
      endInTurn(sessionId, () =>
        askOrElse(
          sessionId,
          (target) => rollBackIn(target, sessionId, request),
          deferral && ((failure) => deferral.rollback(sessionId, request, failure)),
          NOT_FOUND,
        ),
      ),
  };
}

/** For a command that was not even tried, because healing before it failed. */
function asNotDone(error: unknown): never {
  if (!isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
  const { message, sessionId, cause } = error;
  throw new EventSessionsError('STORE_UNAVAILABLE', message, { sessionId, outcome: 'not_done' }, cause);
}

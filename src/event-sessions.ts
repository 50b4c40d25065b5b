import type { Commands } from './commands/commands.js';
import type { StartSessionInput } from './commands/start-session.js';
import type { RecoverOptions, RecoveryReport } from './contingency/recovery-pass.js';
import type { Catalogue } from './core/catalogue.js';
import type { DomainEventListener, DomainEventPattern } from './core/domain-events.js';
import type { MetricsSnapshot } from './core/metrics.js';
import type { Health } from './health.js';
import type { Queries } from './queries/queries.js';
import type { Session } from './session.js';
import type { TransactionResult } from './transaction.js';

/** Transactional sessions for events. Create one per process and share it. */
export interface EventSessions<C extends Catalogue = Catalogue> extends AsyncDisposable {
  /** Names this process in histories and events: the option `instanceId`, or host name, pid and random characters. */
  readonly instanceId: string;
  /**
   * Starts a session. With the `sessionId` of a session that is open already, returns that one.
   *
   * @throws `INVALID_INPUT`, `SESSION_NOT_OPEN` when a session of this id has ended, `STORE_UNAVAILABLE` (only without
   * contingency), `CONTINGENCY_FAILED`.
   */
  startSession(input?: StartSessionInput): Promise<Session<C>>;
  /**
   * A handle on a session, whichever instance started it. Makes no request: whether the session exists is found out
   * when the handle is used.
   *
   * @throws `INVALID_INPUT` for an id that no session can have.
   */
  session(id: string): Session<C>;
  /**
   * Starts a session, runs `work` with it, then commits. When `work` throws or the commit is refused, rolls the session
   * back and rethrows the first error.
   *
   * A commit that has begun cannot be undone: when it fails with `COMMIT_IN_PROGRESS`, `PUBLISH_FAILED`,
   * `CONTINGENCY_FAILED` or `STORE_UNAVAILABLE`, recovery may still publish the session. Running the transaction again
   * would publish its events twice, under different ids; repeat `session(error.sessionId).commit()` instead.
   */
  transaction<R>(
    work: (session: Session<C>) => Promise<R> | R,
    options?: StartSessionInput,
  ): Promise<TransactionResult<R>>;
  /** The methods of a session as functions of plain objects, for a CQRS bus, a queue or an HTTP handler. */
  readonly commands: Commands<C>;
  /** Everything that only reads, as functions of plain objects. */
  readonly queries: Queries;
  /**
   * Runs one recovery pass now: replays the contingency log, finishes interrupted commits, expires overdue sessions. If
   * a pass is already running, returns its report, and `onProgress` hears of the rest of it.
   *
   * @throws `INVALID_INPUT`, `CONTINGENCY_FAILED` when the log cannot be read. A store or a broker that is down is no
   * error: the report then says that it is not `complete`.
   */
  recover(options?: RecoverOptions): Promise<RecoveryReport>;
  /**
   * Calls the listener for every domain event of a type, or of all types with `*`, such as for an audit log.
   *
   * @throws `INVALID_INPUT` for an unknown type or a listener that is not a function; so do `once` and `off`.
   */
  on<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  /** Like `on`, but only for the next event. */
  once<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  /** Removes a listener that was added with `on` or `once`. */
  off<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  /**
   * Counts, durations and recent failures of this instance, and what waits for recovery. Rejects only with `CLOSED`.
   */
  metrics(): Promise<MetricsSnapshot>;
  /** Pings store, publisher and contingency log. What is down is part of the answer: it rejects only with `CLOSED`. */
  health(): Promise<Health>;
  /**
   * Stops running commits between two batches and gives their leases back, ends a recovery pass after what it is
   * working on, waits for the commands under way, then closes the adapters (but no client that you passed to them).
   * Afterwards every call rejects with `CLOSED`. Calling it again waits for the same end.
   *
   * After `timeoutMs` (default 15,000) it no longer waits. Nothing that was acknowledged is lost: as after a crash,
   * leases run out by themselves and recovery goes on.
   *
   * @throws `INVALID_INPUT` for an invalid `timeoutMs`.
   */
  close(options?: { readonly timeoutMs?: number | undefined }): Promise<void>;
  /** For `await using`: closes with the default timeout. */
  [Symbol.asyncDispose](): Promise<void>;
}

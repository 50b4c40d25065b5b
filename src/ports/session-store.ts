import type { AcceptedEvent, StoredEvent } from '../core/event.js';
import type { ActiveStatus, Cause, CommitReceipt, HistoryEntry, SessionStatus } from '../core/lifecycle.js';

/**
 * Where sessions live. The only judge of every race: each method that changes a session is **atomic**, checks and
 * change together, whatever other instances do at the same moment.
 *
 * The rules for an implementation:
 *
 * - **Ids are safe.** Session and event ids match `[A-Za-z0-9_-]{1,128}`; callers have checked that.
 * - **Refusals are answers.** A session that is not there, not open, full, or taken is an `outcome`, never an error.
 * - **Faults are errors.** Reject with an `EventSessionsError` of code `STORE_UNAVAILABLE` whose `outcome` says
 *   `not_done` (certainly no effect) or `unknown` (may have had one). Any other error is taken as `unknown`.
 * - **Every call settles** within a deadline of the store's own.
 * - **Every change can be repeated.** A caller that got `unknown` sends the same call again; the second must find
 *   out that the first was done: `start` by the session's id, `append` by the events' ids, `beginCommit` by the
 *   attempt's id, `advance` and `finishCommit` by the epoch, `rollback` by the status.
 * - **The store's clock counts.** Expiry and leases are decided by one clock that all instances share. A session
 *   past its expiry is `expired` for every method, whether or not {@link SessionStore.expire} has been called.
 * - **Replays are judged as of then.** What was acknowledged while the store was away comes with `asOf`, the time of the
 *   acknowledgement in milliseconds since the epoch. An open session that had not run out by then takes it, though it
 *   has run out since. One that has been ended, by {@link SessionStore.expire} or otherwise, stays ended. `asOf` is of
 *   the caller's clock: one that is behind the store's by some time lets in what came that much too late, one that is
 *   ahead refuses what came that much before the end. A time in the future counts as now.
 * - **History.** Each transition adds a {@link HistoryEntry}. A bounded history may drop takeovers, never endings.
 *
 * `event-sessions/testing` has the conformance suite that checks all of this.
 */
export interface SessionStore {
  /** Creates the session as `open`, unless it exists: then nothing changes, and the answer says what is there. */
  start(session: NewSession): Promise<StartOutcome>;

  /**
   * Appends the events in the given order behind those already there, all of them or none. An event whose id the
   * session already has (or that comes twice in one call) is a duplicate: the first one stays, and nothing is appended
   * for the second. Limits count what would be appended, without duplicates.
   *
   * Renews the time to live: the session does not run out before that is over, nor sooner than it would have. Also with
   * `asOf` it is renewed from now, so that an outage never takes from the time that a session has.
   */
  append(
    sessionId: string,
    events: readonly AcceptedEvent[],
    limits: SessionLimits,
    asOf?: number | undefined,
  ): Promise<AppendOutcome>;

  /** Sets the expiry of an `open` session to `ttlMs` from now (its own time to live when not given). */
  extend(sessionId: string, ttlMs: number | undefined): Promise<ExtendOutcome>;

  /**
   * Takes the lease for an attempt: from `open`, or from `committing` when the lease is over. Raises the epoch by
   * one. Asking again with the same `attemptId` renews the lease under the same epoch.
   *
   * Before it grants, it compares the number of events it has counted with the number it really holds: `corrupt`
   * when they differ. `expectedEvents` is checked only when the session is `open`, and changes nothing on mismatch.
   */
  beginCommit(sessionId: string, attempt: CommitAttempt): Promise<BeginCommitOutcome>;

  /** Moves the cursor forward (never back) and renews the lease, if the epoch is still the session's. */
  advance(sessionId: string, progress: CommitProgress): Promise<FencedOutcome>;

  /**
   * Ends the commit, if the epoch is still the session's and the cursor has reached the last event. The receipt is
   * kept word for word, for {@link BeginCommitOutcome} `committed`. Repeating it answers `done` again.
   */
  finishCommit(sessionId: string, finish: CommitFinish): Promise<FencedOutcome>;

  /** Gives the lease back at once, so that the next attempt need not wait. The session stays `committing`. */
  releaseCommit(sessionId: string, epoch: number): Promise<FencedOutcome>;

  /** Ends an `open` session so that nothing is ever published. Repeating it gives the same answer. */
  rollback(sessionId: string, request: RollbackRequest): Promise<RollbackOutcome>;

  /**
   * Ends an `open` session that was found past its expiry by an `expire` of at least its `graceMs` ago: those that have
   * something to replay can do so in between, however long the store was away. The first call begins the grace, and
   * with a `graceMs` of 0 is also the last; renewing the session takes it back. Of several callers, exactly one is told
   * `expired`.
   */
  expire(sessionId: string, request: ExpireRequest): Promise<ExpireOutcome>;

  /** What is known of a session, or undefined if there is none (or no longer). */
  get(sessionId: string): Promise<SessionRecord | undefined>;

  /**
   * Events behind position `after`, in order: at most `limit`, and at most `maxBytes` of envelopes, but at least one
   * if there is one. Empty behind the last one and for an unknown session.
   */
  read(sessionId: string, range: ReadRange): Promise<readonly StoredEvent[]>;

  /** For each event id, whether the session has that event. All false for an unknown session. */
  contains(sessionId: string, eventIds: readonly string[]): Promise<readonly boolean[]>;

  /**
   * A page of the sessions that are `open` or `committing`. Like SCAN: a session that stays as it is throughout the
   * listing is listed; one that changes meanwhile may be missed or come twice.
   */
  list(filter: ListFilter): Promise<SessionPage>;

  /**
   * Ids of sessions that may need somebody: `open` past the expiry and past the grace that {@link SessionStore.expire}
   * has given, or `committing` past the lease. Longest due first.
   *
   * Fewer than `limit` only if there are no more: sessions whose time was renewed do not hide those behind them. A store
   * may end a call that has looked at very many in vain, if the next call gets further.
   */
  due(limit: number): Promise<readonly string[]>;

  /** How many sessions are `open` or `committing`. An estimate: ended ones may be counted for a moment. */
  countActive(): Promise<number>;

  /** Resolves if the store would take a command now, also one that changes something. */
  ping(): Promise<void>;

  /** Lets go of what the store made itself: connections, timers. A client that was handed in stays open. */
  close(): Promise<void>;
}

export interface NewSession {
  readonly sessionId: string;
  /** JSON text of an object. */
  readonly metadata: string;
  readonly ttlMs: number;
  readonly cause: Cause;
}

export interface SessionLimits {
  readonly maxSessionEvents: number;
  /** Bytes of UTF-8 over all envelopes of the session. */
  readonly maxSessionBytes: number;
}

export interface CommitAttempt {
  /** Names this attempt, so that it can be repeated. Made of the characters of an id. */
  readonly attemptId: string;
  readonly leaseMs: number;
  readonly expectedEvents?: number | undefined;
  readonly asOf?: number | undefined;
  readonly cause: Cause;
}

export interface CommitProgress {
  readonly epoch: number;
  /** Events that need no further publishing, counted without a gap from the first. */
  readonly cursor: number;
  /** How many of those went to the contingency log. */
  readonly deferred: number;
  readonly leaseMs: number;
}

export interface CommitFinish {
  readonly epoch: number;
  readonly cursor: number;
  readonly deferred: number;
  readonly receipt: CommitReceipt;
  readonly retentionMs: number;
  readonly cause: Cause;
}

export interface RollbackRequest {
  readonly retentionMs: number;
  /** 0: however long ago the session has run out. */
  readonly asOf?: number | undefined;
  readonly cause: Cause;
}

export interface ExpireRequest {
  readonly retentionMs: number;
  readonly graceMs: number;
  readonly cause: Cause;
}

export interface ReadRange {
  readonly after: number;
  readonly limit: number;
  readonly maxBytes: number;
}

export interface ListFilter {
  readonly status?: ActiveStatus | undefined;
  /** From the page before. */
  readonly cursor?: string | undefined;
  readonly limit: number;
}

export interface NotFound {
  readonly outcome: 'not_found';
}
export interface NotOpen {
  readonly outcome: 'not_open';
  readonly status: Exclude<SessionStatus, 'open'>;
}

export type StartOutcome =
  | { readonly outcome: 'created' }
  | { readonly outcome: 'exists'; readonly status: SessionStatus };

export type AppendOutcome =
  | {
      readonly outcome: 'appended';
      /** Positions in the given array (from 0) that were duplicates. */
      readonly duplicates: readonly number[];
      /** Events in the session now. */
      readonly events: number;
    }
  | { readonly outcome: 'limit_exceeded'; readonly limit: 'events' | 'bytes' }
  | NotOpen
  | NotFound;

export type ExtendOutcome = { readonly outcome: 'extended'; readonly expiresAt: number } | NotOpen | NotFound;

export type BeginCommitOutcome =
  | {
      readonly outcome: 'granted';
      readonly epoch: number;
      readonly cursor: number;
      readonly deferred: number;
      readonly events: number;
    }
  | { readonly outcome: 'in_progress'; readonly retryAfterMs: number }
  | { readonly outcome: 'committed'; readonly receipt: CommitReceipt }
  | { readonly outcome: 'mismatch'; readonly events: number }
  | { readonly outcome: 'corrupt'; readonly counted: number; readonly found: number }
  | NotOpen
  | NotFound;

/** `stale`: the epoch is no longer the session's, or the session is no longer `committing`. Nothing was changed. */
export type FencedOutcome = { readonly outcome: 'done' } | { readonly outcome: 'stale' } | NotFound;

export type RollbackOutcome =
  | { readonly outcome: 'rolled_back'; readonly discarded: number; readonly repeated: boolean }
  | NotOpen
  | NotFound;

export type ExpireOutcome =
  | { readonly outcome: 'expired'; readonly discarded: number }
  | { readonly outcome: 'not_due' }
  | NotFound;

/** All times in milliseconds since the epoch, by the store's clock. */
export interface SessionRecord {
  readonly sessionId: string;
  readonly status: SessionStatus;
  readonly events: number;
  /** Bytes of all envelopes. */
  readonly bytes: number;
  readonly cursor: number;
  readonly deferred: number;
  readonly epoch: number;
  readonly createdAt: number;
  /** When an `open` session runs out, or a final one vanishes. Undefined while `committing`. */
  readonly expiresAt: number | undefined;
  /** While `committing`: when the attempt's lease ends; undefined when it was given back. */
  readonly leaseExpiresAt: number | undefined;
  /** JSON text of an object. */
  readonly metadata: string;
  readonly history: readonly HistoryEntry[];
}

export interface SessionPage {
  readonly sessions: readonly {
    readonly sessionId: string;
    readonly status: ActiveStatus;
    readonly events: number;
    readonly createdAt: number;
  }[];
  /** For the next page; undefined after the last. A page may be empty and still have a next one. */
  readonly cursor: string | undefined;
}

import type { AcceptedEvent, StoredEvent } from '../core/event.js';
import type { ActiveStatus, Cause, CommitReceipt, HistoryEntry, SessionStatus } from '../core/lifecycle.js';

/**
 * Where sessions live. It decides every race: each method that changes a session is **atomic**, its checks and its
 * change together, whatever other instances do at the same time.
 *
 * The rules for an implementation:
 *
 * - **Ids are safe.** Session and event ids match `[A-Za-z0-9_-]{1,128}`; callers have checked that.
 * - **Refusals are results.** That a session is unknown, not open, full, or being committed is an `outcome`, not an
 *   error.
 * - **Faults are errors.** Reject with an `EventSessionsError` of code `STORE_UNAVAILABLE` whose `outcome` says
 *   `not_done` (certainly no effect) or `unknown` (may have had one). Any other error counts as `unknown`.
 * - **Every call settles** within a deadline of the store's own.
 * - **Every change can be repeated.** After `unknown` the caller makes the same call again, and that one must notice if
 *   the first was done: `start` by the session's id, `append` by the events' ids, `beginCommit` by the attempt's id,
 *   `advance` and `finishCommit` by the epoch, `rollback` by the status.
 * - **The store's clock decides.** Expiry and leases go by one clock that all instances share. A session past its
 *   expiry is `expired` for every method, whether or not {@link SessionStore.expire} has been called.
 * - **Replays are judged as of then.** What was acknowledged while the store was away comes with `asOf`, the time of
 *   the acknowledgement in milliseconds since the epoch. An open session that had not expired by then takes it,
 *   although it has expired since. One that was ended, by {@link SessionStore.expire} or otherwise, stays ended. `asOf`
 *   is a time of the caller's clock: if that clock is slow, it lets in what came too late by as much; if it is fast, it
 *   refuses what came in time by less than that. A time in the future counts as now.
 * - **History.** Each transition adds a {@link HistoryEntry}. The history is bounded, at some 16 KiB: beyond that
 *   takeovers are left out, endings never.
 * - **Results are copies.** What a caller does to them, or later to what it passed in, changes nothing in the store.
 *
 * `event-sessions/testing` has the conformance suite that checks all of this.
 */
export interface SessionStore {
  /** Creates the session as `open`. If it exists already, changes nothing and returns its status. */
  start(session: NewSession): Promise<StartOutcome>;

  /**
   * Appends the events, in the given order, after those already there: all of them or none. An event whose id the
   * session has already (or that comes twice in one call) is a duplicate: the first one stays, the second is not
   * appended. Limits do not count duplicates.
   *
   * Renews the time to live: the session expires no sooner than a whole time to live from now, and no sooner than it
   * would have. With `asOf`, too, it is renewed from now: an outage never shortens the life of a session.
   */
  append(
    sessionId: string,
    events: readonly AcceptedEvent[],
    limits: SessionLimits,
    asOf?: number | undefined,
  ): Promise<AppendOutcome>;

  /** Sets the expiry of an `open` session to `ttlMs` from now. Default: the `ttlMs` it was started with. */
  extend(sessionId: string, ttlMs: number | undefined): Promise<ExtendOutcome>;

  /**
   * Takes the lease for an attempt, if the session is `open`, or is `committing` and the lease of the last attempt has
   * ended. Raises the epoch by one. Called again with the same `attemptId`, renews the lease under the same epoch.
   *
   * Before granting, it compares the number of events that it has counted with the number that it holds: if they
   * differ, the outcome is `corrupt`. `expectedEvents` is checked only when the session is `open`; on a mismatch
   * nothing changes.
   */
  beginCommit(sessionId: string, attempt: CommitAttempt): Promise<BeginCommitOutcome>;

  /** Moves the cursor forward, never back, and renews the lease, if the epoch is still that of the session. */
  advance(sessionId: string, progress: CommitProgress): Promise<FencedOutcome>;

  /**
   * Ends the commit, if the epoch is still that of the session and the cursor has reached the last event. Keeps the
   * receipt as it is, for later calls of `beginCommit`. Repeating it returns `done` again.
   */
  finishCommit(sessionId: string, finish: CommitFinish): Promise<FencedOutcome>;

  /** Gives the lease back at once, so that the next attempt need not wait. The session stays `committing`. */
  releaseCommit(sessionId: string, epoch: number): Promise<FencedOutcome>;

  /**
   * Ends an `open` session so that nothing of it is ever published. Repeating it returns the same outcome, `repeated`.
   */
  rollback(sessionId: string, request: RollbackRequest): Promise<RollbackOutcome>;

  /**
   * Ends an `open` session past its expiry, once a grace has passed since the first call that found it so: in between,
   * whoever has something to replay can do so, however long the store was away. The first call starts the grace, of its
   * `graceMs`; with 0 it ends the session at once. Renewing the session cancels the grace. Of several callers, exactly
   * one is told `expired`.
   */
  expire(sessionId: string, request: ExpireRequest): Promise<ExpireOutcome>;

  /** What is known of a session; undefined if it was never started or has vanished. */
  get(sessionId: string): Promise<SessionRecord | undefined>;

  /**
   * Events after position `after`, in order: at most `limit`, and at most `maxBytes` of envelopes, but at least one if
   * there is one. Empty after the last one, and for an unknown session.
   */
  read(sessionId: string, range: ReadRange): Promise<readonly StoredEvent[]>;

  /** For each event id, whether the session has that event. All false for an unknown session. */
  contains(sessionId: string, eventIds: readonly string[]): Promise<readonly boolean[]>;

  /**
   * A page of the sessions that are `open` or `committing`, without those past their expiry. A session that does not
   * change during the listing is listed once; one that does may be missed or come twice.
   */
  list(filter: ListFilter): Promise<SessionPage>;

  /**
   * Ids of sessions that somebody may have to act on: `open` past the expiry and past the grace that
   * {@link SessionStore.expire} has started, or `committing` past the lease. Longest due first.
   *
   * Fewer than `limit` only if there are no more: sessions that were renewed must not hide others. A store may end a
   * call that has looked at very many sessions in vain, if the next call gets further.
   */
  due(limit: number): Promise<readonly string[]>;

  /** How many sessions are `open` or `committing`. An estimate: sessions that have ended may be counted for a while. */
  countActive(): Promise<number>;

  /** Resolves if the store would take a command now, including one that writes. */
  ping(): Promise<void>;

  /** Closes what the store made itself: connections, timers. A client that was passed in stays open. */
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
  /** Names this attempt, so that it can be repeated. A valid id. */
  readonly attemptId: string;
  readonly leaseMs: number;
  readonly expectedEvents?: number | undefined;
  readonly asOf?: number | undefined;
  readonly cause: Cause;
}

export interface CommitProgress {
  readonly epoch: number;
  /** How many events, from the first on and without a gap, need no more publishing. */
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
  /** 0: however long ago the session has expired. */
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
  /** The `cursor` of the previous page. */
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
      /** Positions, from 0, of the given events that were duplicates. */
      readonly duplicates: readonly number[];
      /** How many events the session has now. */
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

/** A session as the store knows it. Times are in milliseconds since the epoch, by the store's clock. */
export interface SessionRecord {
  readonly sessionId: string;
  readonly status: SessionStatus;
  readonly events: number;
  /** Bytes of UTF-8 over all envelopes. */
  readonly bytes: number;
  readonly cursor: number;
  readonly deferred: number;
  readonly epoch: number;
  readonly createdAt: number;
  /** When an `open` session expires, or one that has ended vanishes. Undefined while `committing`. */
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
  /** Asks for the next page; undefined on the last one. A page may be empty and not the last. */
  readonly cursor: string | undefined;
}

/**
 * The life of a session.
 *
 * ```text
 *   start ──► open ──commit──► committing ──every event acknowledged or deferred──► committed
 *              │                  │   ▲
 *              │                  └───┘ the lease runs out: the next attempt takes over (epoch + 1, at the cursor)
 *              ├──rollback──► rolled_back
 *              └──ttl runs out──► expired
 * ```
 *
 * - `open`: takes events. Every add renews the time to live. Only from here can a session end in three ways, and
 *   the store decides the race: exactly one of commit, rollback and expiry wins.
 * - `committing`: no longer expires and can no longer be rolled back. One attempt at a time holds a lease. Its
 *   `epoch` fences it: an attempt that lost its lease can move nothing any more. The cursor counts the events that
 *   the broker has acknowledged (or the contingency log has taken over) without a gap.
 * - `committed`, `rolled_back`, `expired`: final. Kept with receipt, history and events for the retention, then gone.
 */
export type SessionStatus = 'open' | 'committing' | 'committed' | 'rolled_back' | 'expired';

/** The statuses in which a session stays in the store's index, because somebody still has to act on it. */
export type ActiveStatus = Extract<SessionStatus, 'open' | 'committing'>;

/** Who changes the status of a session, and why. */
export interface Cause {
  /** The `instanceId` of the process that acted. */
  readonly instance: string;
  readonly reason?: string | undefined;
}

/** One change of status in a session's history. A takeover of a commit is `committing` once more. */
export interface HistoryEntry extends Cause {
  readonly status: SessionStatus;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly at: number;
}

/**
 * What `commit` returns. `events = published + deferred` once `committed`.
 *
 * `committing` means that the request is recorded and that recovery, or the next `commit()`, will finish it.
 */
export interface CommitReceipt {
  readonly sessionId: string;
  readonly status: 'committed' | 'committing';
  /** Events in the session. While the store is down: those that this instance knows of. */
  readonly events: number;
  /** Events that the broker has acknowledged. */
  readonly published: number;
  /** Events in the contingency log, to be published by recovery. */
  readonly deferred: number;
  /** From the call of `commit` to this receipt. */
  readonly durationMs: number;
}

/** What `rollback` returns. */
export interface RollbackReceipt {
  readonly sessionId: string;
  readonly status: 'rolled_back';
  /** Events that will never be published. While the store is down: those that this instance knows of. */
  readonly discarded: number;
  /** True when the store was down: the request is in the contingency log, and recovery carries it out. */
  readonly deferred: boolean;
}

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

/** Who causes a transition, for the session's history. */
export interface Cause {
  /** The `instanceId` of the process that acts. */
  readonly instance: string;
  readonly reason?: string | undefined;
}

/** One line of a session's history: the status it went to (`committing` again for a takeover). */
export interface HistoryEntry extends Cause {
  readonly status: SessionStatus;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly at: number;
}

/**
 * What `commit` answers. The numbers count events: `events = published + deferred` once `committed`.
 *
 * `committing` means that the request is recorded and that recovery, or the next `commit()`, will finish it.
 */
export interface CommitReceipt {
  readonly sessionId: string;
  readonly status: 'committed' | 'committing';
  /** Events of the session. While the store is down: as many as this instance knows of. */
  readonly events: number;
  /** Acknowledged by the broker. */
  readonly published: number;
  /** In the contingency log instead, to be published by recovery. */
  readonly deferred: number;
  /** How long this attempt took. */
  readonly durationMs: number;
}

/** What `rollback` answers. */
export interface RollbackReceipt {
  readonly sessionId: string;
  readonly status: 'rolled_back';
  /** Events that will never be published. While the store is down: as many as this instance knows of. */
  readonly discarded: number;
  /** True when the store was down: the request is in the contingency log, recovery carries it out. */
  readonly deferred: boolean;
}

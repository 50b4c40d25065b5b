import type { SessionStore } from '../ports/session-store.js';

/**
 * A commit attempt's hold on its session: the cursor it has reached, and the lease that it keeps alive.
 *
 * Two clocks watch it. The store decides who holds the lease. This process, by its own monotonic clock, stops
 * publishing when it has not renewed in time, so that a process that was frozen cannot go on beside its successor.
 */
export interface CommitLease {
  readonly cursor: number;
  readonly deferred: number;
  /** Whether another batch may be sent. */
  holds(): boolean;
  /** Moves the cursor. Resolves with false when another attempt has the lease; rejects with `STORE_UNAVAILABLE`. */
  advance(cursor: number, deferred: number): Promise<boolean>;
  /** Stops renewing the lease. */
  stop(): void;
}

export interface CommitGrant {
  readonly sessionId: string;
  readonly epoch: number;
  readonly cursor: number;
  readonly deferred: number;
  readonly leaseMs: number;
  /** `performance.now()` before the lease was asked for: it ends no earlier than `leaseMs` after this. */
  readonly askedAt: number;
  /** Ends the renewal when it aborts: the instance has closed without waiting for this attempt. */
  readonly over: AbortSignal;
}

export function holdLease(store: Pick<SessionStore, 'advance'>, grant: CommitGrant): CommitLease {
  const { sessionId, epoch, leaseMs, over } = grant;
  let cursor = grant.cursor;
  let deferred = grant.deferred;
  let until = grant.askedAt + leaseMs;
  let lost = false;

  async function advance(toCursor: number, toDeferred: number): Promise<boolean> {
    const askedAt = performance.now();
    const { outcome } = await store.advance(sessionId, {
      epoch,
      cursor: toCursor,
      deferred: toDeferred,
      leaseMs,
    });
    if (outcome !== 'done') {
      lost = true;
      return false;
    }
    cursor = Math.max(cursor, toCursor);
    deferred = Math.max(deferred, toDeferred);
    until = Math.max(until, askedAt + leaseMs);
    return true;
  }

  const renewal = setInterval(() => {
    if (over.aborted) clearInterval(renewal);
    // A renewal that fails is no reason to stop: the lease lasts for two more.
    else advance(cursor, deferred).catch(() => {});
  }, leaseMs / 3);
  renewal.unref();

  return {
    get cursor() {
      return cursor;
    },
    get deferred() {
      return deferred;
    },
    holds: () => !lost && performance.now() < until,
    advance,
    stop: () => clearInterval(renewal),
  };
}

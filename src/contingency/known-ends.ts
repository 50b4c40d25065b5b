import { forgetOldest } from '../core/forget-oldest.js';
import type { SessionStatus } from '../core/lifecycle.js';

/** How a session has ended, or may have. */
export type KnownEnd = Exclude<SessionStatus, 'open'>;

/**
 * How this instance has ended sessions, and how it has tried to: while the store can't say which of the two it was, the
 * other end must not be recorded, and acknowledged, since it may be the one that counts.
 *
 * Kept as long as the store keeps an ended session, of the last sessions of many.
 */
export interface KnownEnds {
  of(sessionId: string): KnownEnd | undefined;
  set(sessionId: string, end: KnownEnd): void;
  /** The store knows better. */
  forget(sessionId: string): void;
}

const MAX_SESSIONS = 50_000;

export function knownEnds(retentionMs: number): KnownEnds {
  const ends = new Map<string, { readonly end: KnownEnd; readonly until: number }>();
  return {
    of(sessionId) {
      const known = ends.get(sessionId);
      return known !== undefined && performance.now() < known.until ? known.end : undefined;
    },
    set(sessionId, end) {
      ends.delete(sessionId);
      ends.set(sessionId, { end, until: performance.now() + retentionMs });
      forgetOldest(ends, MAX_SESSIONS);
    },
    forget(sessionId) {
      ends.delete(sessionId);
    },
  };
}

import { forgetOldest } from '../core/forget-oldest.js';
import type { SessionStatus } from '../core/lifecycle.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import { isEnd, type SessionEnd } from './held-records.js';
import type { NotReplayed } from './replay.js';

/** How a session has ended, or may have. */
export interface KnownEnd {
  readonly status: Exclude<SessionStatus, 'open'>;
  /** The store has said so, or the log has taken it. Otherwise it was only asked for. */
  readonly isSure: boolean;
}

export const statusOf = (end: SessionEnd) =>
  end === 'session.commit_requested' ? 'committing' : 'rolled_back';

/**
 * How this instance has ended sessions, and how it has tried to: while the store can't say which of the two it was, the
 * other end must not be recorded, and acknowledged, since it may be the one that counts.
 *
 * Kept as long as the store keeps an ended session, of the last sessions of many.
 */
export interface KnownEnds {
  of(sessionId: string): KnownEnd | undefined;
  set(sessionId: string, status: KnownEnd['status']): void;
  /** Asked for, without an answer. Changes nothing if something is known. */
  suspect(sessionId: string, status: KnownEnd['status']): void;
  /** The store knows better. */
  forget(sessionId: string): void;
  /** What the log had of ends has been brought to the store, but for those that it had no place for. */
  replayed(records: readonly ContingencyRecord[], notReplayed: readonly NotReplayed[]): void;
}

const MAX_SESSIONS = 50_000;

export function knownEnds(retentionMs: number): KnownEnds {
  const ends = new Map<string, KnownEnd & { readonly until: number }>();

  function of(sessionId: string): KnownEnd | undefined {
    const known = ends.get(sessionId);
    return known !== undefined && performance.now() < known.until ? known : undefined;
  }

  function put(sessionId: string, end: KnownEnd): void {
    ends.delete(sessionId);
    ends.set(sessionId, { ...end, until: performance.now() + retentionMs });
    forgetOldest(ends, MAX_SESSIONS);
  }

  const set = (sessionId: string, status: KnownEnd['status']) => put(sessionId, { status, isSure: true });

  return {
    of,
    set,
    suspect(sessionId, status) {
      if (of(sessionId) === undefined) put(sessionId, { status, isSure: false });
    },
    forget(sessionId) {
      ends.delete(sessionId);
    },
    replayed(records, notReplayed) {
      for (const record of records) {
        if (!isEnd(record)) continue;
        if (notReplayed.some((other) => other.record === record)) ends.delete(record.sessionId);
        else set(record.sessionId, statusOf(record.kind));
      }
    },
  };
}

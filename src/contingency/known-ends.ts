import { forgetOldest } from '../core/forget-oldest.js';
import type { SessionStatus } from '../core/lifecycle.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import { isEnd, type SessionEnd } from './held-records.js';
import type { NotReplayed } from './replay.js';

/** How a session has ended, or may have ended. */
export interface KnownEnd {
  readonly status: Exclude<SessionStatus, 'open'>;
  /** True when the store has said so or the log has taken it; false when the end was only requested. */
  readonly isSure: boolean;
}

export const statusOf = (end: SessionEnd) =>
  end === 'session.commit_requested' ? 'committing' : 'rolled_back';

/**
 * How this instance has ended sessions, or has tried to. While the store cannot say which end a session has, the
 * opposite end must not be recorded and acknowledged: the first one may be the one that counts.
 *
 * Entries are kept as long as the store keeps an ended session; beyond {@link MAX_SESSIONS} the oldest are forgotten.
 */
export interface KnownEnds {
  of(sessionId: string): KnownEnd | undefined;
  set(sessionId: string, status: KnownEnd['status']): void;
  /** The end was requested, without an answer. Changes nothing if an end is known already. */
  suspect(sessionId: string, status: KnownEnd['status']): void;
  /** The store knows better. */
  forget(sessionId: string): void;
  /** These records were replayed into the store, except those in `notReplayed`. */
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

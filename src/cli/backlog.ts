import { lockPathOf, quarantinePathOf } from '../adapters/file/file-names.js';
import { openLogSnapshot } from '../adapters/file/log-reader.js';
import { readQuarantine } from '../adapters/file/quarantine-reader.js';
import { type LockHolder, lockHolder } from '../adapters/file/recovery-lock.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import { countText } from './wording.js';

export type RecordKind = ContingencyRecord['kind'];

/** What the contingency log holds, added up. Memory grows with the number of sessions, not with their events. */
export interface Backlog {
  readonly file: string;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sealed: boolean }[];
  readonly records: number;
  readonly bytes: number;
  readonly oldestAt: number | undefined;
  /** Lines that recovery will put into the quarantine. */
  readonly unreadable: number;
  /** 1 if the log ends in a write that is under way or was cut off. */
  readonly unfinished: number;
  /** The recovery that is at work on it. */
  readonly recovery: LockHolder | undefined;
  /** Oldest first. */
  readonly sessions: readonly SessionBacklog[];
}

export interface SessionBacklog {
  readonly sessionId: string;
  readonly records: number;
  readonly bytes: number;
  readonly oldestAt: number;
  readonly newestAt: number;
  readonly kinds: Readonly<Partial<Record<RecordKind, number>>>;
}

export interface QuarantineSummary {
  readonly file: string;
  readonly entries: number;
  readonly bytes: number;
  readonly oldestAt: number | undefined;
  readonly newestAt: number | undefined;
  /** Most frequent first. */
  readonly reasons: readonly { readonly reason: string; readonly entries: number }[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** @throws `CONTINGENCY_FAILED` */
export async function gatherBacklog(path: string): Promise<Backlog> {
  const recovery = await lockHolder(lockPathOf(path));
  const snapshot = await openLogSnapshot(path);
  const sessions = new Map<
    string,
    Writable<SessionBacklog> & { kinds: Partial<Record<RecordKind, number>> }
  >();
  const sum = { records: 0, bytes: 0, unreadable: 0, unfinished: 0 };
  try {
    for await (const entry of snapshot.read()) {
      sum.bytes += entry.bytes;
      if ('unreadable' in entry) {
        if (entry.unfinished) sum.unfinished = 1;
        else sum.unreadable += 1;
        continue;
      }
      sum.records += 1;
      const { sessionId, at, kind } = entry.record;
      const known = sessions.get(sessionId);
      if (known === undefined) {
        const first = { sessionId, records: 1, bytes: entry.bytes, oldestAt: at, newestAt: at };
        sessions.set(sessionId, { ...first, kinds: { [kind]: 1 } });
        continue;
      }
      known.records += 1;
      known.bytes += entry.bytes;
      known.oldestAt = Math.min(known.oldestAt, at);
      known.newestAt = Math.max(known.newestAt, at);
      known.kinds[kind] = (known.kinds[kind] ?? 0) + 1;
    }
  } finally {
    await snapshot.close();
  }
  const sorted = [...sessions.values()].sort((a, b) => a.oldestAt - b.oldestAt);
  return {
    file: path,
    files: snapshot.files.map(({ path: part, bytes, live }) => ({ path: part, bytes, sealed: !live })),
    ...sum,
    oldestAt: sorted[0]?.oldestAt,
    recovery,
    sessions: sorted,
  };
}

/** @throws `CONTINGENCY_FAILED` */
export async function summarizeQuarantine(path: string): Promise<QuarantineSummary> {
  const reasons = new Map<string, number>();
  let entries = 0;
  let bytes = 0;
  let oldestAt: number | undefined;
  let newestAt: number | undefined;
  for await (const entry of readQuarantine(path)) {
    entries += 1;
    bytes += entry.bytes;
    reasons.set(entry.reason, (reasons.get(entry.reason) ?? 0) + 1);
    if (entry.at === undefined) continue;
    oldestAt = Math.min(oldestAt ?? entry.at, entry.at);
    newestAt = Math.max(newestAt ?? entry.at, entry.at);
  }
  const ranked = [...reasons].sort(([, a], [, b]) => b - a);
  return {
    file: quarantinePathOf(path),
    entries,
    bytes,
    oldestAt,
    newestAt,
    reasons: ranked.map(([reason, count]) => ({ reason, entries: count })),
  };
}

const KIND_TEXTS: Readonly<Record<RecordKind, (count: number) => string>> = {
  'session.started': () => 'start',
  'event.added': (count) => countText(count, 'event'),
  'session.commit_requested': () => 'commit',
  'session.rollback_requested': () => 'rollback',
  'event.unpublished': (count) => `${countText(count, 'event')} to publish`,
};

/** `start, 3 events, commit`. */
export function kindsText(kinds: SessionBacklog['kinds']): string {
  return (Object.keys(KIND_TEXTS) as RecordKind[])
    .flatMap((kind) => {
      const count = kinds[kind];
      return count === undefined ? [] : KIND_TEXTS[kind](count);
    })
    .join(', ');
}

/** Who is at work on the log, in words. */
export function recoveryText({ pid, alive, stale }: LockHolder): string {
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  if (stale) return `${who} has left its lock behind; the next recovery takes it over`;
  return `a recovery is at work on it: ${who}${alive === undefined ? ', of another host or container' : ''}`;
}

import { openLogSnapshot } from '../adapters/file/log-reader.js';
import { flawOf } from '../contingency/record-flaw.js';
import { DEFAULT_TTL_MS } from '../defaults.js';
import type { SessionRecord, SessionStore } from '../ports/session-store.js';
import { outlineOf, planSession, type RecordOutline, type SessionPlan } from './session-plan.js';
import type { Settings } from './settings.js';
import { countText, spanText } from './wording.js';

export interface PlannedSession extends SessionPlan {
  readonly sessionId: string;
  /** In the store. */
  readonly status: string;
}

/** How long a record waits for what the log of another host may bring: as long as an open session lives. */
export function patienceOf({ options }: Settings): number {
  return options.ttl ?? DEFAULT_TTL_MS;
}

/** Records that wait, and for what. */
export function waitText(records: number, patienceMs: number): string {
  const why = 'of sessions that the log of another host may still bring';
  return `${countText(records, 'record')} ${why}; after ${spanText(patienceMs)} they go into quarantine`;
}

/**
 * What a recovery would do now with each session of the log. Reads it without sealing it.
 *
 * @throws `STORE_UNAVAILABLE`, `CONTINGENCY_FAILED`, or the reason of the signal
 */
export async function planLog(
  file: string,
  store: SessionStore,
  patienceMs: number,
  signal: AbortSignal,
): Promise<{ readonly sessions: readonly PlannedSession[]; readonly unreadable: number }> {
  const { outlines, unreadable } = await readOutlines(file, signal);
  const sessions: PlannedSession[] = [];
  for (const [sessionId, records] of outlines) {
    signal.throwIfAborted();
    sessions.push(await plan(store, sessionId, records, patienceMs));
  }
  return { sessions, unreadable };
}

async function readOutlines(file: string, signal: AbortSignal) {
  const outlines = new Map<string, RecordOutline[]>();
  let unreadable = 0;
  const snapshot = await openLogSnapshot(file);
  try {
    for await (const entry of snapshot.read()) {
      signal.throwIfAborted();
      if ('unreadable' in entry || flawOf(entry.record) !== undefined) {
        if (!entry.unfinished) unreadable += 1;
        continue;
      }
      const { sessionId, kind } = entry.record;
      const known = outlines.get(sessionId);
      if (known === undefined) outlines.set(sessionId, [outlineOf(entry.record)]);
      else if (kind === 'session.started') known.unshift(outlineOf(entry.record));
      else known.push(outlineOf(entry.record));
    }
  } finally {
    await snapshot.close();
  }
  return { outlines, unreadable };
}

async function plan(
  store: SessionStore,
  sessionId: string,
  records: readonly RecordOutline[],
  patienceMs: number,
): Promise<PlannedSession> {
  const session = await store.get(sessionId);
  if (session === undefined)
    return { sessionId, status: 'unknown', ...planSession(records, undefined, patienceMs) };
  const ids = records.flatMap(({ kind, eventId }) =>
    kind === 'event.added' && eventId !== undefined ? [eventId] : [],
  );
  const flags = ids.length === 0 ? [] : await store.contains(sessionId, ids);
  const has = new Set(ids.filter((_, i) => flags[i]));
  // What has ended has a line in the history that says so.
  const isOverdue = session.status === 'expired' && session.history.at(-1)?.status !== 'expired';
  const overdueSince = isOverdue ? session.expiresAt : undefined;
  const known = { ...session, overdueSince, isInterrupted: isInterrupted(session), has };
  return { sessionId, status: session.status, ...planSession(records, known, patienceMs) };
}

/** Whether it is being committed, and nobody is at work on it. */
export function isInterrupted({ status, leaseExpiresAt = 0 }: SessionRecord): boolean {
  return status === 'committing' && leaseExpiresAt <= Date.now();
}

import { type NumberRanges, numberRanges } from '../core/number-ranges.js';
import type { ContingencyRecord, QuarantinedEntry, SealedEntry } from '../ports/contingency-log.js';
import { flawOf } from './record-flaw.js';
import { withoutBytes } from './without-bytes.js';

/** What a sealed part of the log has of one session, as places: the records themselves may not fit in memory. */
export interface SessionBacklog {
  readonly sessionId: string;
  /** Records for the store, in order, but for a start: it comes first, though an add may have been recorded before it. */
  readonly forStore: readonly number[];
  /** How many of those are events. */
  readonly events: number;
  /** The first request to end it, which is one of those. */
  readonly end:
    | { readonly place: number; readonly kind: 'session.commit_requested' | 'session.rollback_requested' }
    | undefined;
  /** Events that the broker is owed, in order. */
  readonly owed: readonly number[];
  /** Events that are owed once and recorded again; a writer repeats itself when the file is renamed under its hands. */
  readonly repeated: readonly number[];
}

interface Growing {
  readonly sessionId: string;
  readonly forStore: number[];
  events: number;
  end: SessionBacklog['end'];
  owed: number[];
  repeated: number[];
  sequences: NumberRanges | undefined;
}

const NONE: number[] = [];

/**
 * Reads the whole part, and answers what there is of each session, in the order in which sessions first appear.
 * It keeps some ten bytes a record and some two hundred a session.
 */
export async function readBacklog(
  read: AsyncIterable<readonly SealedEntry[]>,
  unusable: (entry: QuarantinedEntry & { readonly place: number }) => void,
): Promise<{ sessions: ReadonlyMap<string, SessionBacklog>; records: number }> {
  const sessions = new Map<string, Growing>();
  let records = 0;
  const backlogOf = (sessionId: string): Growing => {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const none = { sessionId, forStore: [], events: 0, end: undefined, owed: NONE, repeated: NONE };
    const session: Growing = { ...none, sequences: undefined };
    sessions.set(sessionId, session);
    return session;
  };
  for await (const entries of read) {
    records += entries.length;
    for (const entry of entries) {
      if ('unreadable' in entry) {
        unusable(entry);
        continue;
      }
      const { record, place } = entry;
      const flaw = flawOf(record);
      if (flaw === undefined) take(backlogOf(record.sessionId), record, place);
      else unusable({ record: withoutBytes(record), place, reason: flaw });
    }
  }
  return { sessions, records };
}

function take(session: Growing, record: ContingencyRecord, place: number): void {
  if (record.kind === 'event.unpublished') {
    if (session.owed === NONE) session.owed = [];
    session.sequences ??= numberRanges();
    if (session.sequences.add(record.sequence) > 0) session.owed.push(place);
    else if (session.repeated === NONE) session.repeated = [place];
    else session.repeated.push(place);
    return;
  }
  if (record.kind === 'session.started') session.forStore.unshift(place);
  else session.forStore.push(place);
  if (record.kind === 'event.added') session.events += 1;
  if (record.kind === 'session.commit_requested' || record.kind === 'session.rollback_requested') {
    session.end ??= { place, kind: record.kind };
  }
}

import type { ContingencyRecord, SealedEntry } from '../ports/contingency-log.js';
import { isEnd, type SessionEnd } from './held-records.js';
import type { FailingSessions } from './pass-broker.js';
import { addTo, NOTHING, type OwedEvents, type OwingSession } from './publish-owed.js';
import { flawOf } from './record-flaw.js';
import { endThatCounts } from './recovery-rules.js';
import type { SealedWork } from './sealed-work.js';
import { seenEvents } from './seen-events.js';
import type { UnusableEntries } from './unusable-entries.js';
import { withoutBytes } from './without-bytes.js';

/** What a sealed part of the log has of one session. Only places: the records themselves may not fit into memory. */
export interface SessionBacklog extends OwingSession {
  /** Records for the store, in order, except that a start comes first: an add may have been recorded before it. */
  readonly forStore: readonly number[];
  /** Of the requests to end the session the one that counts. */
  readonly end: End | undefined;
}

interface End {
  readonly place: number;
  readonly kind: SessionEnd;
  /** The condition of a commit. */
  readonly expectedEvents: number | undefined;
}

interface Growing extends SessionBacklog {
  readonly forStore: number[];
  readonly owedLast: number[];
  end: SessionBacklog['end'];
  /** From 0, in the order in which sessions first appear. */
  readonly number: number;
}

export interface BacklogReader {
  /** Takes what the broker is owed, as it comes. */
  readonly owed: OwedEvents;
  /** Sessions whose owed events are only noted, to be published last. */
  readonly failing: FailingSessions;
  readonly work: Pick<SealedWork, 'found' | 'settle'>;
  /** Takes what can never be replayed, as it comes. */
  readonly unusable: UnusableEntries;
  /** Ends the reading early. */
  readonly signal: AbortSignal;
}

export interface Backlogs {
  /** By session, what has been read so far, in the order in which sessions first appear. */
  readonly sessions: ReadonlyMap<string, SessionBacklog>;
  /** Reads the whole part. It keeps some twenty bytes a record and some two hundred a session. */
  read(part: AsyncIterable<readonly SealedEntry[]>): Promise<void>;
}

export function backlogs({ owed, failing, work, unusable, signal }: BacklogReader): Backlogs {
  const sessions = new Map<string, Growing>();
  const seen = seenEvents();

  function backlogOf(sessionId: string): Growing {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const number = sessions.size;
    const session = { sessionId, number, forStore: [], owedLast: [], end: undefined, recovered: NOTHING };
    sessions.set(sessionId, session);
    return session;
  }

  return {
    sessions,
    async read(part) {
      try {
        for await (const entries of part) {
          if (signal.aborted) break;
          work.found(entries.length);
          for (const entry of entries) {
            if ('unreadable' in entry) {
              await unusable.add(entry);
              continue;
            }
            const { record, place } = entry;
            const flaw = flawOf(record);
            if (flaw !== undefined) {
              await unusable.add({ record: withoutBytes(record), place, reason: flaw });
              continue;
            }
            const session = backlogOf(record.sessionId);
            if (record.kind !== 'event.unpublished') takeForStore(session, record, place);
            else if (seen.add(session.number, record)) {
              if (failing.has(record.sessionId)) {
                session.owedLast.push(place);
                continue;
              }
              if (!owed.hasRoomFor(session)) await owed.send();
              owed.add(session, record, place);
            } else {
              // A writer repeats itself when the file is renamed under its hands.
              await work.settle([place]);
              addTo(session, { records: 1, published: 0 });
            }
          }
        }
        await owed.send();
        await unusable.flush();
      } finally {
        await owed.sent();
      }
    },
  };
}

function takeForStore(session: Growing, record: ContingencyRecord, place: number): void {
  if (record.kind === 'session.started') session.forStore.unshift(place);
  else session.forStore.push(place);
  if (!isEnd(record)) return;
  const expectedEvents = 'expectedEvents' in record ? record.expectedEvents : undefined;
  session.end = endThatCounts(session.end, { place, kind: record.kind, expectedEvents });
}

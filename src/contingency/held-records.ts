import { eventIdOf } from '../core/event.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';

/**
 * The records of the contingency log that this instance knows not to be back in the store, by session: with them the
 * next command on a session can heal it without reading the log.
 *
 * The log is the truth; this is a copy of its tail, bounded in bytes. Of a session that does not fit, or that an
 * earlier process left in the log, it is only known that there are records, and how the session was asked to end:
 * recovery has to bring the rest back.
 */
export interface HeldRecords {
  /** True until the log was found empty or recovery has read it: an earlier process may have left records there. */
  readonly inherited: boolean;
  of(sessionId: string): HeldSession | undefined;
  /** Returns those of which the like was held already: another start, or another event of the same id. */
  hold(records: readonly ContingencyRecord[]): ReadonlySet<ContingencyRecord>;
  /** Forgets these records, if they are still held. */
  drop(sessionId: string, records: readonly ContingencyRecord[]): void;
  /** Everything held up to now; hand it to `settle` when recovery has seen to it. */
  mark(): HeldMark;
  /**
   * Recovery has dealt with the log up to the mark: what is held of that is forgotten, except for sessions that still
   * wait for the store, which are held from now on, whoever recorded them. Nothing is inherited any more.
   */
  settle(mark: HeldMark, waiting: ReadonlyMap<string, WaitingSession>): void;
}

/** What the log has of a session that recovery could not bring back. */
export interface WaitingSession {
  readonly records: number;
  readonly end: SessionEnd | undefined;
}

export type SessionEnd = 'session.commit_requested' | 'session.rollback_requested';

export interface HeldSession {
  /** In order, except that a start comes first. */
  readonly records: readonly ContingencyRecord[];
  /** True when the log has more records of it than are held here. */
  readonly spilled: boolean;
  readonly started: boolean;
  /** How it was first asked to end. */
  readonly end: SessionEnd | undefined;
  /** Ids of the events that are held. */
  readonly eventIds: ReadonlySet<string>;
}

/** A number that rises with every record held. */
export type HeldMark = number;

interface Held {
  records: ContingencyRecord[];
  /** The numbers of those records. */
  numbers: number[];
  /** The number of the last record that did not fit; 0 if all did. */
  spilledAt: number;
  startedAt: number;
  end: { readonly kind: SessionEnd; readonly at: number } | undefined;
  eventIds: Set<string>;
}

export function createHeldRecords(maxBytes: number): HeldRecords {
  const sessions = new Map<string, Held>();
  let bytes = 0;
  let count = 1;
  let inherited = true;

  function heldOf(sessionId: string): Held {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const held = {
      records: [],
      numbers: [],
      spilledAt: 0,
      startedAt: 0,
      end: undefined,
      eventIds: new Set<string>(),
    };
    sessions.set(sessionId, held);
    return held;
  }

  /** Returns whether the like was held already. */
  function hold(record: ContingencyRecord): boolean {
    const held = heldOf(record.sessionId);
    const eventId = record.kind === 'event.added' ? eventIdOf(record.event) : undefined;
    const isAnother =
      eventId === undefined
        ? record.kind === 'session.started' && held.startedAt > 0
        : held.eventIds.has(eventId);
    count += 1;
    if (record.kind === 'session.started') held.startedAt = count;
    if (isEnd(record)) held.end ??= { kind: record.kind, at: count };
    const size = sizeOf(record);
    if (held.spilledAt > 0 || bytes + size > maxBytes) {
      held.spilledAt = count;
      return isAnother;
    }
    bytes += size;
    const at = record.kind === 'session.started' ? 0 : held.records.length;
    held.records.splice(at, 0, record);
    held.numbers.splice(at, 0, count);
    if (eventId !== undefined) held.eventIds.add(eventId);
    return isAnother;
  }

  function keepOnly(
    sessionId: string,
    held: Held,
    stays: (record: ContingencyRecord, number: number) => boolean,
  ): void {
    const kept = held.records.map((record, i) => stays(record, held.numbers[i] as number));
    held.records.forEach((record, i) => {
      if (kept[i]) return;
      bytes -= sizeOf(record);
      if (record.kind === 'event.added') held.eventIds.delete(eventIdOf(record.event));
    });
    held.numbers = held.numbers.filter((_, i) => kept[i]);
    held.records = held.records.filter((_, i) => kept[i]);
    if (held.records.length === 0 && held.spilledAt === 0) sessions.delete(sessionId);
  }

  return {
    get inherited() {
      return inherited;
    },

    of(sessionId) {
      const held = sessions.get(sessionId);
      if (held === undefined) return undefined;
      const { records, eventIds, end, spilledAt, startedAt } = held;
      return { records, eventIds, end: end?.kind, spilled: spilledAt > 0, started: startedAt > 0 };
    },

    hold(records) {
      return new Set(records.filter(hold));
    },

    drop(sessionId, records) {
      const held = sessions.get(sessionId);
      if (held === undefined) return;
      const gone = new Set(records);
      keepOnly(sessionId, held, (record) => !gone.has(record));
    },

    mark: () => count,

    settle(mark, waiting) {
      inherited = false;
      for (const [sessionId, held] of sessions) {
        if (waiting.has(sessionId)) continue;
        if (held.spilledAt <= mark) held.spilledAt = 0;
        if (held.startedAt <= mark) held.startedAt = 0;
        if (held.end !== undefined && held.end.at <= mark) held.end = undefined;
        keepOnly(sessionId, held, (_, number) => number > mark);
      }
      for (const [sessionId, { records, end }] of waiting) {
        const held = heldOf(sessionId);
        if (end !== undefined) held.end = { kind: end, at: Math.min(held.end?.at ?? mark, mark) };
        if (held.spilledAt > 0 || held.numbers.filter((number) => number <= mark).length >= records) continue;
        // There is more in front of what is held, so what is held can't be replayed by itself.
        held.spilledAt = count;
        keepOnly(sessionId, held, () => false);
      }
    },
  };
}

export function isEnd<R extends Pick<ContingencyRecord, 'kind'>>(
  record: R,
): record is R & { kind: SessionEnd } {
  return record.kind === 'session.commit_requested' || record.kind === 'session.rollback_requested';
}

function sizeOf(record: ContingencyRecord): number {
  const text = 'event' in record ? record.event : 'metadata' in record ? record.metadata : '';
  return 200 + text.length * 2;
}

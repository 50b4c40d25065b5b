import type { ContingencyRecord } from '../ports/contingency-log.js';

/**
 * What this instance has written to the contingency log and not yet brought back into the store, by session: so that
 * the next command on a session can heal it without reading the log.
 *
 * The log is the truth, this is a copy of its tail, bounded in bytes. Of a session that does not fit, only the fact
 * is kept: recovery has to bring it back.
 */
export interface HeldRecords {
  /** True until the log was found empty or recovery has read it: an earlier process may have left records there. */
  readonly inherited: boolean;
  of(sessionId: string): HeldSession | undefined;
  hold(records: readonly ContingencyRecord[]): void;
  /** Forgets these records, if they are still held. */
  drop(sessionId: string, records: readonly ContingencyRecord[]): void;
  /** Everything held up to now; hand it to `forget` when recovery has seen to it. */
  mark(): HeldMark;
  /** From now on nothing is inherited any more. */
  forget(mark: HeldMark, except: ReadonlySet<string>): void;
}

export interface HeldSession {
  readonly records: readonly ContingencyRecord[];
  /** True when it has more records than are held here. */
  readonly spilled: boolean;
}

export type HeldMark = ReadonlyMap<string, number>;

interface Held {
  records: ContingencyRecord[];
  spilled: boolean;
  /** Records of this session so far, dropped ones included. */
  total: number;
}

export function createHeldRecords(maxBytes: number): HeldRecords {
  const sessions = new Map<string, Held>();
  let bytes = 0;
  let inherited = true;

  function remove(sessionId: string, held: Held, gone: ReadonlySet<ContingencyRecord>): void {
    held.records = held.records.filter((record) => {
      if (gone.has(record)) bytes -= sizeOf(record);
      return !gone.has(record);
    });
    if (held.records.length === 0 && !held.spilled) sessions.delete(sessionId);
  }

  return {
    get inherited() {
      return inherited;
    },
    of: (sessionId) => sessions.get(sessionId),

    hold(records) {
      for (const record of records) {
        const held = sessions.get(record.sessionId) ?? { records: [], spilled: false, total: 0 };
        sessions.set(record.sessionId, held);
        held.total += 1;
        const size = sizeOf(record);
        if (held.spilled || bytes + size > maxBytes) {
          held.spilled = true;
        } else {
          bytes += size;
          held.records.push(record);
        }
      }
    },

    drop(sessionId, records) {
      const held = sessions.get(sessionId);
      if (held !== undefined) remove(sessionId, held, new Set(records));
    },

    mark: () => new Map([...sessions].map(([sessionId, { total }]) => [sessionId, total])),

    forget(mark, except) {
      inherited = false;
      for (const [sessionId, total] of mark) {
        const held = sessions.get(sessionId);
        if (held === undefined || except.has(sessionId)) continue;
        const newer = held.total - total;
        if (newer === 0) held.spilled = false;
        remove(sessionId, held, new Set(held.records.slice(0, Math.max(0, held.records.length - newer))));
      }
    },
  };
}

function sizeOf(record: ContingencyRecord): number {
  const text = 'event' in record ? record.event : 'metadata' in record ? record.metadata : '';
  return 200 + text.length * 2;
}

import * as z from 'zod/mini';
import { EventSessionsError } from '../../core/errors.js';
import { validate, wholeNumber } from '../../core/validate.js';
import type {
  ContingencyLog,
  ContingencyRecord,
  QuarantinedEntry,
  SealedRecords,
} from '../../ports/contingency-log.js';

export interface MemoryContingencyOptions {
  /** Bytes that may wait for recovery, counted as JSON in UTF-8. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

export interface MemoryContingency extends ContingencyLog {
  /** A copy of what waits for recovery, oldest first. Can be read after `close`, too. */
  readonly records: readonly ContingencyRecord[];
  /** A copy of what recoveries have quarantined. */
  readonly quarantined: readonly QuarantinedEntry[];
}

const DEFAULT_MAX_BYTES = 64 * 1024 ** 2;
const optionsSchema = z.strictObject({ maxBytes: z.optional(wholeNumber(1)) });

/**
 * A contingency log in memory: the embedded default, and for tests. It bridges an outage of the store or the broker,
 * but what it holds is lost with the process.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function memoryContingency(options: MemoryContingencyOptions = {}): MemoryContingency {
  const { maxBytes = DEFAULT_MAX_BYTES } = validate(optionsSchema, options, 'memoryContingency');
  /** By place, oldest first. */
  const waiting = new Map<number, ContingencyRecord>();
  let nextPlace = 0;
  const quarantined: QuarantinedEntry[] = [];
  let waitingBytes = 0;
  let held: SealedRecords | undefined;
  let closed = false;

  function mustBeOpen(): void {
    if (closed) throw new EventSessionsError('CLOSED', 'the contingency log in memory is closed');
  }

  function checkRoom(more: number): void {
    const used = waitingBytes;
    if (used + more <= maxBytes) return;
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `the contingency log in memory is full: ${used} of ${maxBytes} bytes wait for recovery, no room for ${more} more`,
      { limit: maxBytes, actual: used + more },
    );
  }

  function sealedRecords(end: number): SealedRecords {
    const mustBeHeld = () => {
      if (held === self) return;
      throw new EventSessionsError('CONTINGENCY_FAILED', 'this sealed part was released');
    };
    function settle(places: readonly number[]): void {
      for (const place of places) {
        const record = waiting.get(place);
        if (record !== undefined) waitingBytes -= bytesOf(record);
        waiting.delete(place);
      }
    }
    const self: SealedRecords = {
      async *read() {
        mustBeHeld();
        yield [...waiting].flatMap(([place, record]) => (place < end ? [{ place, record }] : []));
      },
      async fetch(places, maxBytes) {
        mustBeHeld();
        const records: ContingencyRecord[] = [];
        let bytes = 0;
        for (const place of places) {
          const record = waiting.get(place);
          if (record === undefined)
            throw new EventSessionsError('CONTINGENCY_FAILED', `no record at ${place}`);
          bytes += bytesOf(record);
          if (records.length > 0 && bytes > maxBytes) break;
          records.push(record);
        }
        return records;
      },
      async settle(places) {
        mustBeHeld();
        settle(places);
      },
      async quarantine(entries) {
        mustBeHeld();
        quarantined.push(...entries.map(({ place: _, ...entry }) => entry));
        settle(entries.map(({ place }) => place));
      },
      async release() {
        if (held === self) held = undefined;
      },
    };
    return self;
  }

  return {
    get records() {
      return [...waiting.values()];
    },
    get quarantined() {
      return [...quarantined];
    },

    async append(records) {
      mustBeOpen();
      const copies = records.map(frozenCopy);
      const bytes = copies.reduce((sum, record) => sum + bytesOf(record), 0);
      checkRoom(bytes);
      waitingBytes += bytes;
      for (const record of copies) waiting.set(nextPlace++, record);
    },

    async seal() {
      mustBeOpen();
      if (held !== undefined) return 'busy';
      if (waiting.size === 0) return 'empty';
      held = sealedRecords(nextPlace);
      return held;
    },

    async backlog() {
      mustBeOpen();
      let oldestAt: number | undefined;
      for (const { at } of waiting.values()) oldestAt = Math.min(oldestAt ?? at, at);
      return { records: waiting.size, bytes: waitingBytes, oldestAt };
    },

    async ping() {
      mustBeOpen();
      checkRoom(1);
    },

    async close() {
      closed = true;
      held = undefined;
    },
  };
}

function bytesOf(record: ContingencyRecord): number {
  return Buffer.byteLength(JSON.stringify(record));
}

function frozenCopy(record: ContingencyRecord): ContingencyRecord {
  return Object.freeze({ ...record });
}

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
  /** Bytes of all records, each as JSON in UTF-8; default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

export interface MemoryContingency extends ContingencyLog {
  /** All that waits for recovery, sealed or not, oldest first. A copy; readable after `close`, too. */
  readonly records: readonly ContingencyRecord[];
  /** A copy of what recoveries have quarantined. */
  readonly quarantined: readonly QuarantinedEntry[];
}

const DEFAULT_MAX_BYTES = 64 * 1024 ** 2;
const optionsSchema = z.strictObject({ maxBytes: z.optional(wholeNumber(1)) });

/**
 * A contingency log in memory, for tests and for trying out. "Durable" means here: as long as the process lives.
 * It bridges an outage of the store or of the broker, and loses everything with the process.
 *
 * @throws `INVALID_INPUT` for a wrong option
 */
export function memoryContingency(options: MemoryContingencyOptions = {}): MemoryContingency {
  const { maxBytes = DEFAULT_MAX_BYTES } = validate(optionsSchema, options, 'memoryContingency');
  let sealed: readonly ContingencyRecord[] = [];
  let live: ContingencyRecord[] = [];
  let quarantined: readonly QuarantinedEntry[] = [];
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

  function sealedRecords(part: readonly ContingencyRecord[]): SealedRecords {
    const mustBeHeld = () => {
      if (held === self) return;
      throw new EventSessionsError('CONTINGENCY_FAILED', 'this sealed part was finished or released');
    };
    const self: SealedRecords = {
      async *read() {
        mustBeHeld();
        for (const record of part) yield { record };
      },
      async finish(result) {
        mustBeHeld();
        quarantined = [...quarantined, ...result.quarantine];
        waitingBytes -= bytesOf(sealed);
        sealed = result.keep.map(frozenCopy);
        waitingBytes += bytesOf(sealed);
        held = undefined;
      },
      async release() {
        if (held === self) held = undefined;
      },
    };
    return self;
  }

  return {
    get records() {
      return [...sealed, ...live];
    },
    get quarantined() {
      return [...quarantined];
    },

    async append(records) {
      mustBeOpen();
      const copies = records.map(frozenCopy);
      const bytes = bytesOf(copies);
      checkRoom(bytes);
      waitingBytes += bytes;
      live.push(...copies);
    },

    async seal() {
      mustBeOpen();
      if (held !== undefined) return undefined;
      sealed = [...sealed, ...live];
      live = [];
      if (sealed.length === 0) return undefined;
      held = sealedRecords(sealed);
      return held;
    },

    async backlog() {
      mustBeOpen();
      const all = [...sealed, ...live];
      const oldestAt = all.reduce((oldest, { at }) => Math.min(oldest, at), Number.POSITIVE_INFINITY);
      return { records: all.length, bytes: waitingBytes, oldestAt: all.length === 0 ? undefined : oldestAt };
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

function bytesOf(records: readonly ContingencyRecord[]): number {
  return records.reduce((sum, record) => sum + Buffer.byteLength(JSON.stringify(record)), 0);
}

function frozenCopy(record: ContingencyRecord): ContingencyRecord {
  return Object.freeze({ ...record });
}

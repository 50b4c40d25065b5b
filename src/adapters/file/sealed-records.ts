import { open } from 'node:fs/promises';
import { EventSessionsError } from '../../core/errors.js';
import type { SealedEntry, SealedRecords } from '../../ports/contingency-log.js';
import type { AppendFile } from './append-file.js';
import { ioFailure } from './io-failure.js';
import { linesOf } from './lines.js';
import { encodeQuarantined, encodeRecord } from './record-line.js';
import type { RecoveryLock } from './recovery-lock.js';
import type { SealedSegments, Segment } from './sealed-segments.js';
import { wholeAppends } from './whole-appends.js';

/** Milliseconds that a write may take which was under way when its file was sealed. It is not lost if it takes longer. */
const SETTLE_MS = 50;
/** Entries of one write to the quarantine file. */
const QUARANTINE_GROUP = 100;

export interface SealedRecordsOptions {
  readonly path: string;
  readonly parts: readonly Segment[];
  readonly segments: SealedSegments;
  readonly lock: RecoveryLock;
  readonly quarantine: AppendFile;
  readonly ended: () => void;
}

/** The segments that one recovery has found, as long as it holds the lock. */
export function sealedRecords(options: SealedRecordsOptions): SealedRecords {
  const { path, parts, segments, lock, quarantine } = options;
  let over = false;

  async function mustHold(): Promise<void> {
    if (over)
      throw new EventSessionsError(
        'CONTINGENCY_FAILED',
        `${path}: this sealed part was finished or released`,
      );
    if (await lock.isHeld()) return;
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `${path}: another process has taken over the recovery`,
    );
  }

  async function end(): Promise<void> {
    over = true;
    options.ended();
    await lock.release();
  }

  return {
    async *read() {
      await mustHold();
      for (const { path: part } of parts) {
        try {
          yield* entriesOf(part);
        } catch (error) {
          throw ioFailure('read', part, error);
        }
      }
    },

    async finish({ keep, quarantine: refused }) {
      await mustHold();
      try {
        for (let from = 0; from < refused.length; from += QUARANTINE_GROUP) {
          const at = Date.now();
          const lines = refused
            .slice(from, from + QUARANTINE_GROUP)
            .map((entry) => encodeQuarantined(entry, at));
          await quarantine.append(Buffer.concat(lines));
        }
        await segments.replace(parts, linesFor(keep));
      } catch (error) {
        throw ioFailure('finish the sealed part of', path, error);
      }
      await end();
    },

    async release() {
      if (!over) await end();
    },
  };
}

function* linesFor(records: Parameters<SealedRecords['finish']>[0]['keep']): Generator<Buffer> {
  for (const record of records) yield encodeRecord(record);
}

async function* entriesOf(path: string): AsyncGenerator<SealedEntry> {
  const handle = await open(path, 'r');
  try {
    const appends = wholeAppends();
    for await (const lines of linesOf(handle, { settleMs: SETTLE_MS })) {
      for (const line of lines) yield* appends.take(line);
    }
    yield* appends.end();
  } finally {
    await handle.close();
  }
}

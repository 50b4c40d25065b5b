import { EventSessionsError, ignoringUntilAwaited } from '../../core/errors.js';
import type { ContingencyRecord, SealedRecords } from '../../ports/contingency-log.js';
import type { AppendFile } from './append-file.js';
import { ioFailure } from './io-failure.js';
import { encodeQuarantined, encodeRecord } from './record-line.js';
import type { RecoveryLock } from './recovery-lock.js';
import type { SealedSegments } from './sealed-segments.js';
import type { SegmentReader } from './segment-reader.js';

/** Entries of one write to the quarantine file. */
const QUARANTINE_GROUP = 100;
/** So many segments are merged when something of them is left: one comes with each recovery during an outage. */
const MAX_SEGMENTS = 8;
/** A place is the number of the segment times this, plus the number of the line in it. */
const LINES_PER_SEGMENT = 2 ** 32;

export interface SealedRecordsOptions {
  readonly path: string;
  readonly parts: readonly SegmentReader[];
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
      throw new EventSessionsError('CONTINGENCY_FAILED', `${path}: this sealed part was released already`);
    if (await lock.isHeld()) return;
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `${path}: another process has taken over the recovery`,
    );
  }

  async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    await mustHold();
    try {
      return await work();
    } catch (error) {
      throw ioFailure(action, path, error);
    }
  }

  async function settle(places: readonly number[]): Promise<void> {
    for (const [part, lines] of byPart(places)) await parts[part]?.settle(lines);
  }

  /**
   * Removes what is settled, and merges what is left of much. Marks that the disk did not take are tried once more, now
   * that there may be room: the next recovery may be that of another process.
   */
  async function clear(): Promise<void> {
    const settled = parts.filter((part) => part.left === 0);
    const rest = parts.filter((part) => part.left !== 0);
    if (settled.length > 0) await segments.remove(settled.map(({ segment }) => segment));
    const known = rest.every((part) => part.left !== undefined && part.allReadable);
    const sparse = rest.some((part) => (part.left ?? 0) * 2 < part.lines);
    if (known && (rest.length > MAX_SEGMENTS || sparse)) {
      await segments.merge(
        rest.map(({ segment }) => segment),
        linesOf(rest),
      );
    } else {
      for (const part of rest) await part.settle([]);
    }
  }

  return {
    async *read() {
      await mustHold();
      try {
        for (const [index, part] of parts.entries()) {
          for await (const entries of part.read(index * LINES_PER_SEGMENT)) {
            // What is read is acted on: whoever has lost the lock must not go on. Looked at beside the work.
            const held = ignoringUntilAwaited(mustHold());
            yield entries;
            await held;
          }
        }
      } catch (error) {
        throw ioFailure('read', path, error);
      }
    },

    fetch: (places, maxBytes) =>
      attempt('read', async () => {
        const records: ContingencyRecord[] = [];
        let left = maxBytes;
        for (const [part, lines] of byPart(places)) {
          const { records: found, bytes } = (await parts[part]?.fetch(lines, left, records.length === 0)) ?? {
            records: [],
            bytes: 0,
          };
          records.push(...found);
          left -= bytes;
          if (found.length < lines.length) break;
        }
        return records;
      }),

    settle: (places) => attempt('settle records of', () => settle(places)),

    quarantine: (entries) =>
      attempt('quarantine records of', async () => {
        for (let from = 0; from < entries.length; from += QUARANTINE_GROUP) {
          const group = entries.slice(from, from + QUARANTINE_GROUP);
          const at = Date.now();
          await quarantine.append(Buffer.concat(group.map((entry) => encodeQuarantined(entry, at))));
          await settle(group.map(({ place }) => place));
        }
      }),

    async release() {
      if (over) return;
      try {
        if (await lock.isHeld()) await clear();
      } catch (error) {
        throw ioFailure('clear', path, error);
      } finally {
        over = true;
        options.ended();
        for (const part of parts) await part.close();
        await lock.release();
      }
    },
  };
}

/** Neighbours of one segment together, in the order given. */
function byPart(places: readonly number[]): [part: number, lines: number[]][] {
  const groups: [number, number[]][] = [];
  for (const place of places) {
    const part = Math.floor(place / LINES_PER_SEGMENT);
    const line = place - part * LINES_PER_SEGMENT;
    const group = groups.at(-1);
    if (group?.[0] === part) group[1].push(line);
    else groups.push([part, [line]]);
  }
  return groups;
}

async function* linesOf(parts: readonly SegmentReader[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    for await (const entries of part.read(0))
      for (const entry of entries) if ('record' in entry) yield encodeRecord(entry.record);
  }
}

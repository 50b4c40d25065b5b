import { EventSessionsError, ignoringUntilAwaited } from '../../core/errors.js';
import type { ContingencyRecord, QuarantinedEntry, SealedRecords } from '../../ports/contingency-log.js';
import type { AppendFile } from './append-file.js';
import { ioFailure } from './io-failure.js';
import { oneByOne } from './one-by-one.js';
import { encodeQuarantined, encodeRecord } from './record-line.js';
import type { RecoveryLock } from './recovery-lock.js';
import type { SealedSegments } from './sealed-segments.js';
import type { SegmentReader } from './segment-reader.js';

/** Entries of one write to the quarantine file, and bytes: the entry that reaches them is the last one. */
const QUARANTINE_GROUP = 100;
const QUARANTINE_GROUP_BYTES = 1024 * 1024;
/** More neighbours than that are merged when something of them is left: one comes with each recovery during an outage. */
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
  let released: Promise<void> | undefined;
  /** Calls under way: what they work on is not to be taken from under them. */
  const underWay = new Set<Promise<unknown>>();

  async function mustHold(): Promise<void> {
    if (over)
      throw new EventSessionsError('CONTINGENCY_FAILED', `${path}: this sealed part was released already`);
    if (await lock.isHeld()) return;
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `${path}: another process has taken over the recovery`,
    );
  }

  function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    const call = mustHold()
      .then(work)
      .catch((error: unknown) => {
        throw ioFailure(action, path, error);
      })
      .finally(() => underWay.delete(call));
    underWay.add(call);
    return call;
  }

  /** What the disk does not take of it is at least known in memory. */
  function settle(places: readonly number[]): Promise<void> {
    return oneByOne(byPart(places), ([part, lines]) => parts[part]?.settle(lines));
  }

  /**
   * Removes what is settled, and merges what is left of much. Marks that the disk did not take are tried once more, now
   * that there may be room: the next recovery may be that of another process.
   */
  async function clear(): Promise<void> {
    let rest = parts.filter((part) => part.left !== 0);
    const tidyUp = async () => {
      await segments.remove(parts.flatMap((part) => (part.left === 0 ? part.segment : [])));
      await oneByOne(mergeable(rest), async (run) => {
        await segments.merge(
          run.map(({ segment }) => segment),
          linesOf(run),
        );
        rest = rest.filter((part) => !run.includes(part));
      });
    };
    const mark = () => oneByOne(rest, (part) => part.settle([]));
    await oneByOne([tidyUp, mark], (step) => step());
  }

  async function letGo(): Promise<void> {
    over = true;
    await Promise.allSettled(underWay);
    try {
      if (await lock.isHeld()) await clear();
    } catch (error) {
      throw ioFailure('clear', path, error);
    } finally {
      options.ended();
      await Promise.allSettled(parts.map((part) => part.close()));
      await lock.release();
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
        for (const { lines, places } of groupsOf(entries)) {
          await quarantine.append(Buffer.concat(lines));
          await settle(places);
        }
      }),

    // The holder, and whoever closes the log.
    release: () => (released ??= letGo()),
  };
}

/** Of lines for the quarantine file, in groups that are each written at once. */
function* groupsOf(
  entries: readonly (QuarantinedEntry & { readonly place: number })[],
): Generator<{ lines: Buffer[]; places: number[] }> {
  const at = Date.now();
  let [lines, places, bytes]: [Buffer[], number[], number] = [[], [], 0];
  for (const entry of entries) {
    const line = encodeQuarantined(entry, at);
    lines.push(line);
    places.push(entry.place);
    bytes += line.length;
    if (lines.length < QUARANTINE_GROUP && bytes < QUARANTINE_GROUP_BYTES) continue;
    yield { lines, places };
    [lines, places, bytes] = [[], [], 0];
  }
  if (lines.length > 0) yield { lines, places };
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

/**
 * What should be merged: neighbours, so that the order stays. One of which something can't be read stays as it is, and
 * so do those on its two sides from each other.
 */
function mergeable(parts: readonly SegmentReader[]): SegmentReader[][] {
  const runs: SegmentReader[][] = [[]];
  for (const part of parts) {
    if (part.left !== undefined && part.allReadable) runs.at(-1)?.push(part);
    else runs.push([]);
  }
  const isSparse = ({ left = 0, lines }: SegmentReader) => left * 2 < lines;
  return runs.filter((run) => run.length > MAX_SEGMENTS || run.some(isSparse));
}

async function* linesOf(parts: readonly SegmentReader[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    for await (const entries of part.read(0))
      for (const entry of entries) if ('record' in entry) yield encodeRecord(entry.record);
  }
}

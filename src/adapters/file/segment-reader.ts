import { type FileHandle, open } from 'node:fs/promises';
import type { ContingencyRecord, SealedEntry } from '../../ports/contingency-log.js';
import { type Line, linesOf } from './lines.js';
import { decodeRecord } from './record-line.js';
import { replacedBy, type Segment } from './sealed-segments.js';
import type { SettledLines } from './settled-lines.js';
import { wholeAppends } from './whole-appends.js';

/** Milliseconds that a write may take which was under way when its file was sealed. It is not lost if it takes longer. */
const SETTLE_MS = 50;
/** Lines that are no further apart are read at once. */
const GAP_BYTES = 16 * 1024;
const READ_BYTES = 4 * 1024 * 1024;

/**
 * One segment, read once from its beginning and then at any line. What it keeps of the file is eight bytes a line,
 * where it begins.
 */
export interface SegmentReader {
  readonly segment: Segment;
  /** Lines that count, settled or not; 0 until the segment has been read to its end. */
  readonly lines: number;
  /** Lines that are not settled; undefined until the segment has been read to its end. */
  readonly left: number | undefined;
  /** False if the last reading to the end has found a line that can't be read and was not settled. */
  readonly allReadable: boolean;
  /** What is not settled, some entries at a time. The place of an entry is `firstPlace` and the number of its line. */
  read(firstPlace: number): AsyncGenerator<SealedEntry[]>;
  /** The records of these lines: at most `maxBytes` of them, but at least one if `atLeastOne`. */
  fetch(
    lines: readonly number[],
    maxBytes: number,
    atLeastOne: boolean,
  ): Promise<{ records: ContingencyRecord[]; bytes: number }>;
  settle(lines: readonly number[]): Promise<void>;
  /** Nothing can be read after it. */
  close(): Promise<void>;
}

export function segmentReader(segment: Segment, settled: SettledLines): SegmentReader {
  const starts = offsets();
  let counted = 0;
  let readToEnd = false;
  let allReadable = true;
  let handle: Promise<FileHandle> | undefined;
  let closed = false;

  function opened(): Promise<FileHandle> {
    if (closed) return Promise.reject(new Error('it is not open any more'));
    handle ??= open(segment.path, 'r').catch((error: unknown) => {
      handle = undefined;
      throw error;
    });
    return handle;
  }

  async function* read(firstPlace: number): AsyncGenerator<SealedEntry[]> {
    const appends = wholeAppends();
    // Counts for itself: it may be left half-way, and another may go on beside it.
    let number = 0;
    let readable = true;
    let ignored = 0;
    let end = 0;
    const unsettled = () => {
      const entries = appends.known();
      const left =
        settled.lines.size === 0
          ? entries
          : entries.filter(({ place }) => !settled.lines.has(place - firstPlace));
      if (left.some((entry) => 'unreadable' in entry)) readable = false;
      return left;
    };
    const take = (line: Line) => {
      starts.set(number, line.end - line.bytes.length - (line.form === 'whole' ? 1 : 0));
      end = line.end;
      if (number === 0 && replacedBy(line.bytes) !== undefined) ignored = 1;
      else appends.add(line, firstPlace + number);
      number += 1;
    };
    for await (const lines of linesOf(await opened(), { settleMs: SETTLE_MS })) {
      lines.forEach(take);
      yield unsettled();
    }
    appends.end();
    yield unsettled();
    starts.set(number, end);
    counted = number - ignored;
    allReadable = readable;
    readToEnd = true;
  }

  return {
    segment,
    get lines() {
      return counted;
    },
    get left() {
      return readToEnd ? counted - settled.lines.size : undefined;
    },
    get allReadable() {
      return allReadable;
    },
    read,

    async fetch(lines, maxBytes, atLeastOne) {
      const records: ContingencyRecord[] = [];
      let bytes = 0;
      let wanted = lines.length;
      for (const [i, line] of lines.entries()) {
        const size = starts.at(line + 1) - starts.at(line);
        if ((i > 0 || !atLeastOne) && bytes + size > maxBytes) {
          wanted = i;
          break;
        }
        bytes += size;
      }
      for (let from = 0; from < wanted; ) {
        const start = starts.at(lines[from] as number);
        let to = from;
        let stop = start;
        for (; to < wanted; to += 1) {
          const line = lines[to] as number;
          const next = starts.at(line + 1);
          const apart = starts.at(line) - stop;
          if (to > from && (apart < 0 || apart > GAP_BYTES || next - start > READ_BYTES)) break;
          stop = next;
        }
        const data = await readAll(await opened(), start, stop - start);
        for (const line of lines.slice(from, to)) {
          records.push(recordIn(data, starts.at(line) - start, segment.path));
        }
        from = to;
      }
      return { records, bytes };
    },

    settle: (lines) => settled.settle(lines),

    async close() {
      closed = true;
      await settled.close();
      await (await handle)?.close();
    },
  };
}

function recordIn(data: Buffer, from: number, path: string): ContingencyRecord {
  const newline = data.indexOf(0x0a, from);
  const decoded = decodeRecord(data.subarray(from, newline === -1 ? data.length : newline));
  if ('record' in decoded) return decoded.record;
  throw new Error(`${path} has changed since it was read: ${decoded.reason}`);
}

async function readAll(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const data = Buffer.allocUnsafe(length);
  let bytes = 0;
  while (bytes < length) {
    const { bytesRead } = await handle.read(data, bytes, length - bytes, position + bytes);
    if (bytesRead === 0) break;
    bytes += bytesRead;
  }
  return data.subarray(0, bytes);
}

/** Numbers of eight bytes in an array that grows. */
function offsets() {
  let values = new Float64Array(1_024);
  return {
    at: (index: number) => values[index] as number,
    set(index: number, value: number) {
      if (index === values.length) {
        const larger = new Float64Array(index * 2);
        larger.set(values);
        values = larger;
      }
      values[index] = value;
    },
  };
}

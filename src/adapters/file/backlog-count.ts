import { open } from 'node:fs/promises';
import type { ContingencyBacklog } from '../../ports/contingency-log.js';
import { missing } from './io-failure.js';
import { linesOf } from './lines.js';
import { replacedBy, type Segment } from './sealed-segments.js';
import { countSettled } from './settled-lines.js';

interface Count {
  records: number;
  oldestAt: number | undefined;
  /** Offset up to which lines have been counted. */
  counted: number;
  /** Behind it there is the beginning of one more. */
  torn: boolean;
}

/** Behind the session's id, of which 128 characters are allowed, and before anything a user writes. */
const AT = /^\{"v":\d+,"kind":"[^"]*","sessionId":"[^"]*","at":(\d+)/;
const AT_WITHIN_BYTES = 300;

/**
 * Counts the lines of files, reading every byte once however often it is asked: it remembers how far it got in each
 * file, also under another name. Lines that can't be read count too; a torn one at the end counts once the file is
 * sealed, since nobody goes on with it then, and a recovery settles it like any other. Settled lines don't count, but
 * their bytes are still on the disk, and one of them may be the oldest. Calls must not overlap.
 */
export function backlogCounter(): (
  sealed: readonly Segment[],
  live: Segment | undefined,
) => Promise<ContingencyBacklog> {
  let counts = new Map<string, Count>();

  async function countOf(file: Segment): Promise<Count> {
    const known = counts.get(file.identity);
    const count =
      known !== undefined && known.counted <= file.bytes
        ? known
        : { records: 0, oldestAt: undefined, counted: 0, torn: false };
    if (count.counted < file.bytes) await countOn(file.path, count);
    return count;
  }

  return async (sealed, live) => {
    const present = new Map<string, Count>();
    let records = 0;
    for (const file of sealed) {
      const count = await countOf(file);
      present.set(file.identity, count);
      // A segment goes before the file that says what of it is settled.
      records += Math.max(0, count.records + Number(count.torn) - (await countSettled(file.path)));
    }
    if (live !== undefined) {
      const count = await countOf(live);
      present.set(live.identity, count);
      records += count.records;
    }
    counts = present;
    const files = live === undefined ? sealed : [...sealed, live];
    const times = [...present.values()].flatMap(({ oldestAt }) => oldestAt ?? []);
    return {
      records,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      oldestAt: times.length === 0 ? undefined : Math.min(...times),
    };
  };
}

async function countOn(path: string, count: Count): Promise<void> {
  const handle = await open(path, 'r').catch(missing);
  if (handle === undefined) return;
  count.torn = false;
  try {
    for await (const lines of linesOf(handle, { from: count.counted })) {
      for (const line of lines) {
        if (line.form === 'torn') {
          count.torn = true;
          return;
        }
        const isFirst = count.counted === 0;
        count.counted = line.end;
        if (isFirst && replacedBy(line.bytes) !== undefined) continue;
        count.records += 1;
        const at = AT.exec(line.bytes.subarray(0, AT_WITHIN_BYTES).toString('latin1'))?.[1];
        if (at !== undefined)
          count.oldestAt = Math.min(count.oldestAt ?? Number.POSITIVE_INFINITY, Number(at));
      }
    }
  } finally {
    await handle.close();
  }
}

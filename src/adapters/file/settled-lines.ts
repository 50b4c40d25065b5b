import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { checkedLine, checkedMembers } from './checksum.js';
import { settledPathOf } from './file-names.js';
import { syncFolder } from './folder.js';
import { missing } from './io-failure.js';
import { type NumberRanges, numberRanges } from './number-ranges.js';

/**
 * Which lines of one segment are settled, by their number from 0: in memory, and in `<segment>.settled` for whoever
 * comes after this process.
 *
 * ```text
 * {"settled":[[0,499],[502,502]],"crc":"1c291ca3"}
 * ```
 *
 * The file is only appended to. A line of it that is torn or damaged counts for nothing: then what it settled comes
 * again, which is safe. A disk that is too full for a line of it is no reason to stop, since recovery is what makes
 * room; memory knows until the disk takes it.
 */
export interface SettledLines {
  readonly lines: NumberRanges;
  /** Adds what the file says: another process may have been at work on the segment. */
  load(): Promise<void>;
  /** Rejects if it is only in memory; the next call tries again. */
  settle(lines: readonly number[]): Promise<void>;
  /** Lets go of the file; the next `settle` opens it again. Never rejects: what was to be kept is synced. */
  close(): Promise<void>;
}

type Run = readonly [first: number, last: number];

export function settledLines(segment: string, mode: number, sync: boolean): SettledLines {
  const path = settledPathOf(segment);
  const lines = numberRanges();
  let unwritten: Run[] = [];
  let file: FileHandle | undefined;

  async function write(data: Buffer): Promise<void> {
    const isOpened = file === undefined;
    file ??= await open(path, 'a', mode);
    const { bytesWritten } = await file.write(data);
    if (bytesWritten < data.length)
      throw Object.assign(new Error('the disk took only a part'), { code: 'ENOSPC' });
    if (!sync) return;
    await file.datasync();
    // Whoever created it may not have got as far as this.
    if (isOpened) await syncFolder(dirname(path));
  }

  async function close(): Promise<void> {
    const open = file;
    file = undefined;
    await open?.close().catch(() => {});
  }

  return {
    lines,
    async load() {
      for (const run of await readRuns(path)) lines.add(...run);
    },
    async settle(settled) {
      for (const run of runsOf(settled)) {
        lines.add(...run);
        unwritten.push(run);
      }
      if (unwritten.length === 0) return;
      try {
        await write(checkedLine(`{"settled":${JSON.stringify(unwritten)}`));
      } catch (error) {
        // After a failed sync its success would mean nothing.
        await close();
        throw error;
      }
      unwritten = [];
    },
    close,
  };
}

/** How many lines of the segment are settled, as far as its file says. */
export async function countSettled(segment: string): Promise<number> {
  const lines = numberRanges();
  for (const run of await readRuns(settledPathOf(segment))) lines.add(...run);
  return lines.size;
}

async function readRuns(path: string): Promise<Run[]> {
  const text = await readFile(path, 'latin1').catch(missing);
  return (text ?? '').split('\n').flatMap((line) => {
    const { settled } = checkedMembers(line);
    return Array.isArray(settled) ? settled.filter(isRun) : [];
  });
}

function isRun(value: unknown): value is Run {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [first, last] = value;
  return Number.isSafeInteger(first) && Number.isSafeInteger(last) && 0 <= first && first <= last;
}

function runsOf(lines: readonly number[]): Run[] {
  const runs: [number, number][] = [];
  for (const line of lines) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === line - 1) run[1] = line;
    else runs.push([line, line]);
  }
  return runs;
}

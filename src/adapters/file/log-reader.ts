import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { SealedContent } from '../../ports/contingency-log.js';
import { ioFailure, missing } from './io-failure.js';
import { linesOf } from './lines.js';
import type { NumberRanges } from './number-ranges.js';
import { identityOf, replacedBy, type Segment, sealedSegments } from './sealed-segments.js';
import { settledLines } from './settled-lines.js';
import { wholeAppends } from './whole-appends.js';

/**
 * What a contingency log holds at a moment, for looking only: it takes no lock, seals nothing, and changes nothing.
 * Appends and a recovery may go on meanwhile.
 *
 * Everything that was in the log when it was opened is seen, but for what a recovery has settled; what comes later may
 * be.
 */
export interface LogSnapshot {
  /** Oldest first. `live`: the one that is appended to; the others are sealed. */
  readonly files: readonly LoggedFile[];
  /** From the first record on, as often as asked, as a recovery would see them. */
  read(): AsyncIterable<LoggedEntry>;
  close(): Promise<void>;
}

export interface LoggedFile extends Segment {
  readonly live: boolean;
}

export type LoggedEntry = SealedContent & {
  /** Of its line. */
  readonly bytes: number;
  /** The unreadable end of the live file: a write that is under way, or one that was cut off. */
  readonly unfinished: boolean;
};

interface OpenedFile extends LoggedFile {
  readonly handle: FileHandle;
  /** Lines that a recovery has dealt with. */
  readonly settled: NumberRanges | undefined;
}

/** How often the segments may change while they are being opened. Each time some recovery has ended. */
const MAX_TRIES = 200;
const SETTLE_MS = 50;

/** @throws `CONTINGENCY_FAILED` naming path and errno. A log that does not exist is an empty one. */
export async function openLogSnapshot(path: string): Promise<LogSnapshot> {
  let files: OpenedFile[] = [];
  try {
    files = await openAll(path);
  } catch (error) {
    throw ioFailure('read', path, error);
  }
  return {
    files: files.map(({ handle: _, settled: __, ...file }) => file),
    async *read() {
      for (const file of files) {
        try {
          yield* entriesOf(file);
        } catch (error) {
          throw ioFailure('read', file.path, error);
        }
      }
    },
    close: () => closeAll(files),
  };
}

/**
 * The live file first: if it is renamed after that, it is found among the sealed ones, under the same identity. So
 * nothing slips through between the two. If a segment goes away meanwhile, a recovery has ended: then once more.
 */
async function openAll(path: string): Promise<OpenedFile[]> {
  const segments = sealedSegments(path, 0o600, false);
  for (let attempt = 1; ; attempt += 1) {
    const opened: OpenedFile[] = [];
    try {
      const live = await segments.live();
      const current = live && (await openLive(live));
      let missed = live !== undefined && current === undefined;
      if (current !== undefined) opened.push(current);
      for (const segment of await segments.list()) {
        if (segment.identity === current?.identity) continue;
        const sealed = await openSealed(segment);
        if (sealed === undefined) missed = true;
        else opened.push(sealed);
      }
      if (missed) {
        if (attempt === MAX_TRIES) throw new Error(`changed ${MAX_TRIES} times while it was opened`);
        await closeAll(opened);
        continue;
      }
      return await withoutReplaced(opened.sort((a, b) => Number(a.live) - Number(b.live)));
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
  }
}

/** Undefined if it has been renamed, and perhaps made anew, since it was looked at. */
async function openLive(segment: Segment): Promise<OpenedFile | undefined> {
  const handle = await open(segment.path, 'r').catch(missing);
  if (handle === undefined) return undefined;
  try {
    if (identityOf(await handle.stat({ bigint: true })) === segment.identity)
      return { ...segment, live: true, handle, settled: undefined };
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  }
  await handle.close().catch(() => {});
  return undefined;
}

/** Undefined if it is gone, or was about to go: the file that says what of it is settled is removed behind it. */
async function openSealed(segment: Segment): Promise<OpenedFile | undefined> {
  const handle = await open(segment.path, 'r').catch(missing);
  if (handle === undefined) return undefined;
  try {
    const settled = settledLines(segment.path, 0o600, false);
    await settled.load();
    const isThere = await stat(segment.path).then(
      () => true,
      () => false,
    );
    if (isThere) return { ...segment, live: false, handle, settled: settled.lines };
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  }
  await handle.close().catch(() => {});
  return undefined;
}

/** Segments whose rest has been merged into another one count for nothing. */
async function withoutReplaced(files: OpenedFile[]): Promise<OpenedFile[]> {
  const replaced = new Set<string>();
  for (const { handle, live } of files) {
    if (live) continue;
    for await (const [first] of linesOf(handle)) {
      for (const name of (first && replacedBy(first.bytes)) ?? []) replaced.add(name);
      break;
    }
  }
  const counts = ({ path }: OpenedFile) => !replaced.has(basename(path));
  await closeAll(files.filter((file) => !counts(file)));
  return files.filter(counts);
}

async function closeAll(files: readonly OpenedFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close().catch(() => {})));
}

async function* entriesOf({ handle, live, settled }: OpenedFile): AsyncGenerator<LoggedEntry> {
  const appends = wholeAppends();
  // One entry comes for each line, in the same order.
  const sizes: number[] = [];
  let number = 0;
  const shown = function* (atTheEnd: boolean): Generator<LoggedEntry> {
    for (const { place, ...entry } of appends.known()) {
      const bytes = sizes.shift() ?? 0;
      if (settled?.has(place)) continue;
      yield { ...entry, bytes, unfinished: live && atTheEnd && 'unreadable' in entry };
    }
  };
  for await (const lines of linesOf(handle, { settleMs: SETTLE_MS })) {
    for (const line of lines) {
      const place = number;
      number += 1;
      if (place === 0 && replacedBy(line.bytes) !== undefined) continue;
      sizes.push(line.bytes.length + 1);
      appends.add(line, place);
      yield* shown(line.form === 'torn');
    }
  }
  appends.end();
  yield* shown(true);
}

import { type FileHandle, open } from 'node:fs/promises';
import type { SealedEntry } from '../../ports/contingency-log.js';
import { errnoOf, ioFailure } from './io-failure.js';
import { linesOf } from './lines.js';
import { type Segment, sealedSegments } from './sealed-segments.js';
import { wholeAppends } from './whole-appends.js';

/**
 * What a contingency log holds at a moment, for looking only: it takes no lock, seals nothing, and changes nothing.
 * Appends and a recovery may go on meanwhile.
 *
 * Everything that was in the log when it was opened is seen; what comes later may be. Records that a recovery is
 * putting back at that moment may be seen twice.
 */
export interface LogSnapshot {
  /** Oldest first. `live`: the one that is appended to; the others are sealed. */
  readonly files: readonly (Segment & { readonly live: boolean })[];
  /** From the first record on, as often as asked, as a recovery would see them. */
  read(): AsyncIterable<LoggedEntry>;
  close(): Promise<void>;
}

export type LoggedEntry = SealedEntry & {
  /** Of its line. */
  readonly bytes: number;
  /** The unreadable end of the live file: a write that is under way, or one that was cut off. */
  readonly unfinished: boolean;
};

type OpenedSegment = LogSnapshot['files'][number] & { readonly handle: FileHandle };

/** How often the segments may change while they are being opened. Each time some recovery has ended. */
const MAX_TRIES = 20;
const SETTLE_MS = 50;

/** @throws `CONTINGENCY_FAILED` naming path and errno. A log that does not exist is an empty one. */
export async function openLogSnapshot(path: string): Promise<LogSnapshot> {
  let files: OpenedSegment[] = [];
  try {
    files = await openAll(path);
  } catch (error) {
    throw ioFailure('read', path, error);
  }
  return {
    files: files.map(({ handle: _, ...file }) => file),
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
 * nothing slips through between the two.
 */
async function openAll(path: string): Promise<OpenedSegment[]> {
  const segments = sealedSegments(path, 0o600, false);
  for (let attempt = 1; ; attempt += 1) {
    const opened: OpenedSegment[] = [];
    try {
      const live = await segments.live();
      const liveHandle = live && (await openIfThere(live.path));
      const current = live && liveHandle && { ...live, live: true, handle: liveHandle };
      if (current) opened.push(current);
      const sealed = (await segments.list()).filter(({ identity }) => identity !== live?.identity);
      let missed = live !== undefined && current === undefined;
      for (const segment of sealed) {
        const handle = await openIfThere(segment.path);
        if (handle === undefined) missed = true;
        else opened.push({ ...segment, live: false, handle });
      }
      if (missed && attempt < MAX_TRIES) {
        await closeAll(opened);
        continue;
      }
      return opened.sort((a, b) => Number(a.live) - Number(b.live));
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  return open(path, 'r').catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return undefined;
  });
}

async function closeAll(files: readonly OpenedSegment[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close().catch(() => {})));
}

async function* entriesOf({ handle, live }: OpenedSegment): AsyncGenerator<LoggedEntry> {
  const appends = wholeAppends();
  // One entry comes for each line, in the same order.
  const sizes: number[] = [];
  const measured = (entry: SealedEntry, atTheEnd: boolean): LoggedEntry => ({
    ...entry,
    bytes: sizes.shift() ?? 0,
    unfinished: live && atTheEnd && 'unreadable' in entry,
  });
  for await (const lines of linesOf(handle, { settleMs: SETTLE_MS })) {
    for (const line of lines) {
      sizes.push(line.bytes.length + 1);
      for (const entry of appends.take(line)) yield measured(entry, line.form === 'torn');
    }
  }
  for (const entry of appends.end()) yield measured(entry, true);
}

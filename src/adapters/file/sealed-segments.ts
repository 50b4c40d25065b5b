import type { BigIntStats } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { checkedMembers, withChecksum } from './checksum.js';
import { SUFFIX, segmentDraftOf, segmentPathOf, settledPathOf } from './file-names.js';
import { syncFolder } from './folder.js';
import { missing } from './io-failure.js';
import { linesOf } from './lines.js';

/**
 * The sealed parts of a log: what the live file was renamed to, `<path>.<number>-<random>.sealed`, oldest first.
 *
 * The number gives the order; of two processes that choose the same one at the same time, the older file comes first.
 * The random part makes sure that no rename ever overwrites a segment. A segment never changes. It is removed only by
 * the recovery that has read it, so one that was left behind is simply there when the next recovery looks.
 *
 * **Merging.** What is left of many segments, or of one of which most is settled, goes into a new segment that begins
 * with the names of those it stands for:
 *
 * ```text
 * {"v":1,"kind":"log.merged","replaces":["contingency-log.jsonl.000000000001-5f0c9a3e.sealed"],"crc":"1c291ca3"}
 * ```
 *
 * From the moment it has its name, they count for nothing. So a process that dies in between leaves no record twice
 * and none missing.
 */
export interface Segment {
  readonly path: string;
  readonly bytes: number;
  /** Stays the same when the file is renamed, and is never used again for another one. */
  readonly identity: string;
  /** Nanoseconds since the epoch at which the file was created. */
  readonly born: bigint;
}

export interface SealedSegments {
  list(): Promise<Segment[]>;
  /** The live file, if there is one. */
  live(): Promise<Segment | undefined>;
  /** Renames the live file behind the last segment. Does nothing if it is missing or empty. */
  setAside(): Promise<void>;
  /** Puts lines in the place of segments, before all that was appended meanwhile. */
  merge(segments: readonly Segment[], lines: AsyncIterable<Buffer>): Promise<void>;
  remove(segments: readonly Segment[]): Promise<void>;
  /** Removes what a recovery left that died while it merged, or while it made its lock. Only for the holder of the recovery lock. */
  removeUnfinished(): Promise<void>;
}

const MERGED = '{"v":1,"kind":"log.merged",';
/** Bytes of one write of lines that are kept. */
const CHUNK_BYTES = 1024 * 1024;

/** The names of the segments that this line says are replaced; undefined if it is another kind of line. */
export function replacedBy(line: Buffer): string[] | undefined {
  if (line.toString('latin1', 0, MERGED.length) !== MERGED) return undefined;
  const { replaces } = checkedMembers(line);
  return Array.isArray(replaces) && replaces.every((name) => typeof name === 'string') ? replaces : undefined;
}

export function sealedSegments(path: string, mode: number, sync: boolean): SealedSegments {
  const folder = dirname(path);
  const prefix = basename(path);

  async function names(pattern: RegExp): Promise<string[]> {
    const all = await readdir(folder).catch(missing);
    return (all ?? [])
      .filter((name) => name.startsWith(prefix) && pattern.test(name.slice(prefix.length)))
      .sort();
  }

  const numberOf = (name: string | undefined) =>
    Number(SUFFIX.segment.exec((name ?? '').slice(prefix.length))?.[1] ?? 0);

  async function writeMerged(target: string, lines: AsyncIterable<Buffer>): Promise<void> {
    const file = await open(target, 'wx', mode);
    try {
      for await (const chunk of chunksOf(lines)) {
        for (let from = 0; from < chunk.length; ) {
          const { bytesWritten } = await file.write(chunk, from);
          from += bytesWritten;
        }
      }
      if (sync) await file.datasync();
    } catch (error) {
      await file.close().catch(() => {});
      await rm(target, { force: true }).catch(() => {});
      throw error;
    }
    await file.close();
  }

  async function removeFiles(paths: readonly string[]): Promise<void> {
    for (const segment of paths) await rm(segment, { force: true });
    // Behind its segment: without this file the segment would come again as a whole.
    for (const segment of paths) await rm(settledPathOf(segment), { force: true });
    if (sync && paths.length > 0) await syncFolder(folder);
  }

  return {
    async list() {
      const found = await Promise.all(
        (await names(SUFFIX.segment)).map(async (name) => {
          const segment = await segmentAt(join(folder, name));
          return segment && { ...segment, number: numberOf(name) };
        }),
      );
      return found
        .filter((segment) => segment !== undefined)
        .sort((a, b) => a.number - b.number || Number(a.born - b.born));
    },

    async live() {
      const live = await segmentAt(path);
      return live !== undefined && live.bytes > 0 ? live : undefined;
    },

    async setAside() {
      if (((await segmentAt(path))?.bytes ?? 0) === 0) return;
      const last = numberOf((await names(SUFFIX.segment)).at(-1));
      await rename(path, segmentPathOf(path, last + 1)).catch(missing);
      if (sync) await syncFolder(folder);
    },

    async merge(segments, lines) {
      const paths = segments.map((segment) => segment.path);
      const target = segmentPathOf(path, numberOf(basename(paths.at(-1) ?? '')));
      const replaces = paths.map((name) => basename(name));
      const head = withChecksum(JSON.stringify({ v: 1, kind: 'log.merged', replaces }));
      await writeMerged(segmentDraftOf(target), prepend(Buffer.from(`${head}\n`), lines));
      await rename(segmentDraftOf(target), target);
      if (sync) await syncFolder(folder);
      await removeFiles(paths);
    },

    remove: (segments) => removeFiles(segments.map((segment) => segment.path)),

    async removeUnfinished() {
      for (const pattern of [SUFFIX.segmentDraft, SUFFIX.lockDraft])
        for (const name of await names(pattern)) await rm(join(folder, name), { force: true });
      const sealed = await names(SUFFIX.segment);
      for (const name of sealed) {
        const replaced = (await replacedByFile(join(folder, name))).filter((other) => sealed.includes(other));
        await removeFiles(replaced.map((other) => join(folder, other)));
      }
      const there = await names(SUFFIX.segment);
      for (const name of await names(SUFFIX.settled)) {
        if (!there.some((segment) => name === settledPathOf(segment)))
          await rm(join(folder, name), { force: true });
      }
    },
  };
}

async function replacedByFile(path: string): Promise<string[]> {
  const file = await open(path, 'r').catch(missing);
  if (file === undefined) return [];
  try {
    for await (const [first] of linesOf(file)) return (first && replacedBy(first.bytes)) ?? [];
    return [];
  } finally {
    await file.close();
  }
}

async function segmentAt(path: string): Promise<Segment | undefined> {
  const found: BigIntStats | undefined = await stat(path, { bigint: true }).catch(missing);
  if (found === undefined || !found.isFile()) return undefined;
  return { path, bytes: Number(found.size), identity: identityOf(found), born: found.birthtimeNs };
}

/** An inode number alone may be used again for a later file. */
export function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`;
}

async function* prepend(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

async function* chunksOf(lines: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let chunk: Buffer[] = [];
  let bytes = 0;
  for await (const line of lines) {
    chunk.push(line);
    bytes += line.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(chunk);
    chunk = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(chunk);
}

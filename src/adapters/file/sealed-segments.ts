import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from './folder.js';
import { errnoOf } from './io-failure.js';

/**
 * The sealed parts of a log: what the live file was renamed to, `<path>.<number>-<random>.sealed`, oldest first.
 *
 * The number gives the order. The random part makes sure that no rename ever overwrites a segment, even if two
 * processes choose the same number at the same time. A segment is removed only by the recovery that has read it, so
 * one that was left behind is simply there when the next recovery looks.
 */
export interface Segment {
  readonly path: string;
  readonly bytes: number;
  /** Stays the same when the file is renamed, and is never used again for another one. */
  readonly identity: string;
}

export interface SealedSegments {
  list(): Promise<Segment[]>;
  /** The live file, if there is one. */
  live(): Promise<Segment | undefined>;
  /** Renames the live file behind the last segment. Does nothing if it is missing or empty. */
  setAside(): Promise<void>;
  /**
   * Puts lines in the place of segments. They keep the place in the order, before all that was appended meanwhile.
   * If the process dies in between, lines come twice, or all of the old ones do.
   */
  replace(segments: readonly Segment[], lines: Iterable<Buffer>): Promise<void>;
  /** Removes what a recovery left that died while it replaced. Only for the holder of the recovery lock. */
  removeUnfinished(): Promise<void>;
}

const SEALED = /^\.(\d{12})-[0-9a-f]{8}\.sealed$/;
const UNFINISHED = /^\.\d{12}-[0-9a-f]{8}\.sealed\.tmp$/;
/** Bytes of one write of lines that are kept. */
const CHUNK_BYTES = 1024 * 1024;

export function sealedSegments(path: string, mode: number, sync: boolean): SealedSegments {
  const folder = dirname(path);
  const prefix = basename(path);

  async function names(pattern: RegExp): Promise<string[]> {
    const all = await readdir(folder).catch(missing);
    return (all ?? [])
      .filter((name) => name.startsWith(prefix) && pattern.test(name.slice(prefix.length)))
      .sort();
  }

  const nameAt = (number: number) =>
    `${path}.${String(number).padStart(12, '0')}-${randomBytes(4).toString('hex')}.sealed`;

  const numberOf = (name: string | undefined) =>
    Number(SEALED.exec((name ?? '').slice(prefix.length))?.[1] ?? 0);

  async function writeKept(target: string, lines: Iterable<Buffer>): Promise<boolean> {
    const file = await open(`${target}.tmp`, 'wx', mode);
    let any = false;
    try {
      for (const chunk of chunksOf(lines)) {
        any = true;
        for (let from = 0; from < chunk.length; ) {
          const { bytesWritten } = await file.write(chunk, from);
          from += bytesWritten;
        }
      }
      if (sync) await file.datasync();
    } catch (error) {
      await file.close().catch(() => {});
      await rm(`${target}.tmp`, { force: true }).catch(() => {});
      throw error;
    }
    await file.close();
    if (any) await rename(`${target}.tmp`, target);
    else await rm(`${target}.tmp`, { force: true });
    return any;
  }

  return {
    async list() {
      const found = await Promise.all((await names(SEALED)).map((name) => segmentAt(join(folder, name))));
      return found.filter((segment) => segment !== undefined);
    },

    async live() {
      const live = await segmentAt(path);
      return live !== undefined && live.bytes > 0 ? live : undefined;
    },

    async setAside() {
      if (((await segmentAt(path))?.bytes ?? 0) === 0) return;
      const last = numberOf((await names(SEALED)).at(-1));
      await rename(path, nameAt(last + 1)).catch(missing);
      if (sync) await syncFolder(folder);
    },

    async replace(segments, lines) {
      const place = numberOf(basename(segments.at(-1)?.path ?? ''));
      const kept = await writeKept(nameAt(place), lines);
      if (sync && kept) await syncFolder(folder);
      for (const segment of segments) await rm(segment.path, { force: true });
      if (sync) await syncFolder(folder);
    },

    async removeUnfinished() {
      for (const name of await names(UNFINISHED)) await rm(join(folder, name), { force: true });
    },
  };
}

async function segmentAt(path: string): Promise<Segment | undefined> {
  const found: BigIntStats | undefined = await stat(path, { bigint: true }).catch(missing);
  if (found === undefined || !found.isFile()) return undefined;
  // An inode number alone may be used again for a later file.
  const identity = `${found.dev}:${found.ino}:${found.birthtimeNs}`;
  return { path, bytes: Number(found.size), identity };
}

function missing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

function* chunksOf(lines: Iterable<Buffer>): Generator<Buffer> {
  let chunk: Buffer[] = [];
  let bytes = 0;
  for (const line of lines) {
    chunk.push(line);
    bytes += line.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(chunk);
    chunk = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(chunk);
}

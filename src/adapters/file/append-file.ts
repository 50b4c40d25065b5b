import type { FileHandle } from 'node:fs/promises';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EventSessionsError, ignoringUntilAwaited } from '../../core/errors.js';
import { turns } from '../../core/turns.js';
import { makeFolder, syncFolder } from './folder.js';
import { errnoOf, ioFailure, missing } from './io-failure.js';

/**
 * Durable appends to one file that several processes share and that any of them may rename away.
 *
 * **Group commit.** Appends that come while a write is under way wait, and then share one `write` and one
 * `fdatasync`. The write is a single one to an `O_APPEND` descriptor, so processes never mix within a group.
 *
 * **Renamed under our hands.** A descriptor keeps pointing to the file that was renamed, and a recovery may have read
 * that file already. So after the write, and before anything is acknowledged, the file under the path must still
 * be ours; then whoever renames it later will read what we wrote. Otherwise the group is written again to the file
 * that is there now. The record may then exist twice, which replay tolerates; it can't be missed. Writers need no lock.
 *
 * **Short writes** (a full disk, without an error) acknowledge the appends that fit and try the rest again, which
 * either works or tells the errno. The torn part stays: to truncate would race with other processes. Lines must
 * therefore begin with a newline.
 *
 * **Failed syncs.** After one, the kernel may have dropped the pages and yet report success next time. The descriptor
 * is closed, the file is set aside, and what is not known to be on the disk is written again to a new file, once.
 *
 * **Syncs at intervals.** A group is acknowledged when it is written; a copy of it is kept until the descriptor has
 * been synced: at the latest after the interval, and before the descriptor is let go, for whatever reason. A copy that
 * would grow too large is synced earlier. If the sync fails and writing it again fails too, a process warning says
 * how much may not survive the machine, and from then on groups are synced before they are acknowledged, until a sync
 * has worked.
 */
export interface AppendFile {
  /** Lines, each with a newline on both sides. Resolves when durable, rejects with `CONTINGENCY_FAILED`. */
  append(lines: Buffer): Promise<void>;
  /** Does the work between two writes, without a descriptor: nothing of this process is then under way in the file. */
  between<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Lets go of the descriptor after the appends under way; the next append opens the file anew. Rejects with
   * `CONTINGENCY_FAILED` if what was acknowledged could not be synced.
   */
  close(): Promise<void>;
}

/** The part of `fs.open` that is used here; tests pass one whose syncs fail. */
export type OpenFile = (path: string, flags: string, mode: number) => Promise<OpenedFile>;
export type OpenedFile = Pick<FileHandle, 'datasync' | 'close'> & {
  write(data: Buffer): Promise<{ bytesWritten: number }>;
  stat(options: { bigint: true }): Promise<FileIdentity & { isFile(): boolean }>;
};

export interface AppendFileOptions {
  readonly path: string;
  readonly mode: number;
  /** `always`: synced before it is acknowledged; a number: so many milliseconds later at most. */
  readonly sync: 'always' | 'never' | number;
  readonly open: OpenFile;
  /**
   * Throws if there is no room for `bytes` more. `size` is what the file had when it was last looked at; undefined when
   * it is not open.
   */
  readonly checkRoom?: (bytes: number, size: number | undefined) => Promise<void>;
  /** Somebody has renamed the file away. */
  readonly onMoved?: () => void;
  /** Renames the file away; called after a failed sync. Without it such a failure is final. */
  readonly setAside?: () => Promise<void>;
}

interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
}

interface Opened {
  readonly file: OpenedFile;
  readonly identity: FileIdentity;
  /** Bytes when it was last looked at; other processes append too. */
  size: number;
}

interface Waiting {
  readonly lines: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Bytes of one write, unless a single append is larger. It is copied once to be written at once. */
const GROUP_BYTES = 4 * 1024 * 1024;
/** Bytes that may wait for the disk. Beyond it an append is refused, unless nothing else waits. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** How often the file may be renamed under one group. Each time, some recovery has begun: more than this is a fault. */
const MAX_MOVES = 100;
/** Bytes that are acknowledged before they are synced, and of which a copy is kept. Beyond it they are synced at once. */
const MAX_UNSYNCED_BYTES = 16 * 1024 * 1024;
/** Milliseconds after which an idle descriptor is closed, so that it doesn't keep the space of a removed file. */
const IDLE_MS = 5_000;

class SyncFailure {
  constructor(readonly cause: unknown) {}
}

export function appendFile(options: AppendFileOptions): AppendFile {
  const { path, mode, sync, open, checkRoom, onMoved, setAside } = options;
  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let pumping: Promise<void> | undefined;
  let current: Opened | undefined;
  const inTurn = turns();
  let idle: NodeJS.Timeout | undefined;
  /** Acknowledged and written to `current`, but not known to be on the disk. */
  let unsynced: Buffer[] = [];
  let unsyncedBytes = 0;
  let nextSync: NodeJS.Timeout | undefined;
  /** After a sync that could not be made good: nothing more is acknowledged before it is synced. */
  let distrusted = false;

  async function openCurrent() {
    if (current !== undefined && (await isThere(current))) return current;
    await letGo();
    const file = await open(path, 'a', mode).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await makeFolder(dirname(path));
      return open(path, 'a', mode);
    });
    try {
      const identity = await file.stat({ bigint: true });
      if (!identity.isFile()) throw new Error('not a regular file');
      // Whoever created it may not have got as far as this.
      if (sync !== 'never') await syncFolder(dirname(path));
      current = { file, identity, size: Number(identity.size) };
      return current;
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  }

  async function closeCurrent(): Promise<void> {
    clearTimeout(idle);
    const file = current?.file;
    current = undefined;
    await file?.close().catch(() => {});
  }

  /** Answers what {@link syncNow} does. */
  async function letGo(): Promise<EventSessionsError | undefined> {
    const lost = await syncNow();
    await closeCurrent();
    return lost;
  }

  function keepUnsynced(group: readonly Waiting[]): void {
    if (sync === 'never' || group.length === 0) return;
    for (const { lines } of group) {
      unsynced.push(lines);
      unsyncedBytes += lines.length;
    }
    nextSync ??= setTimeout(() => void inTurn(syncNow), Number(sync)).unref();
  }

  /** Makes durable what was acknowledged without it. Never rejects: answers, and warns of, what it could not. */
  async function syncNow(): Promise<EventSessionsError | undefined> {
    clearTimeout(nextSync);
    nextSync = undefined;
    if (unsyncedBytes === 0) return undefined;
    const lines = Buffer.concat(unsynced);
    unsynced = [];
    unsyncedBytes = 0;
    try {
      await current?.file.datasync();
      return undefined;
    } catch (error) {
      await closeCurrent();
      distrusted = true;
      return writeAgain(lines, error);
    }
  }

  /** After a failed sync: to a new file, synced. */
  async function writeAgain(lines: Buffer, cause: unknown): Promise<EventSessionsError | undefined> {
    try {
      if (setAside === undefined) throw cause;
      await setAside();
      await new Promise<void>((resolve, reject) => write([{ lines, resolve, reject }], 1));
      return undefined;
    } catch (error) {
      const why = ioFailure('sync', path, error);
      const message = `${lines.length} bytes of acknowledged contingency records may not survive this machine: ${why.message}`;
      process.emitWarning(message, { type: 'EventSessionsWarning', code: 'CONTINGENCY_FAILED' });
      return new EventSessionsError('CONTINGENCY_FAILED', message, {}, error);
    } finally {
      await closeCurrent();
    }
  }

  /** Writes once. Answers how many of the appends are in the file that is now under the path, and if they are synced. */
  async function writeOnce(
    group: readonly Waiting[],
  ): Promise<{ done: number; synced: boolean; moved: boolean }> {
    const opened = await openCurrent();
    const [first] = group;
    const data = group.length === 1 && first ? first.lines : Buffer.concat(group.map(({ lines }) => lines));
    const { bytesWritten } = await opened.file.write(data);
    const done = countFitting(group, bytesWritten);
    const synced = done > 0 && (sync === 'always' || (sync !== 'never' && distrusted));
    const there = ignoringUntilAwaited(isThere(opened));
    if (synced) {
      await opened.file.datasync().catch((error: unknown) => {
        throw new SyncFailure(error);
      });
      distrusted = false;
    }
    if (await there) return { done, synced, moved: false };
    await letGo();
    return { done: 0, synced, moved: true };
  }

  /** Whether the path still leads to the file that is open. */
  async function isThere(opened: Opened): Promise<boolean> {
    const there = await stat(path, { bigint: true }).catch(missing);
    if (there?.ino !== opened.identity.ino || there.dev !== opened.identity.dev) {
      onMoved?.();
      return false;
    }
    opened.size = Number(there.size);
    return true;
  }

  async function commit(group: readonly Waiting[]): Promise<void> {
    const admitted = await withRoom(group);
    if (unsyncedBytes + bytesOf(admitted) > MAX_UNSYNCED_BYTES) await syncNow();
    await write(admitted, 0);
  }

  async function write(group: readonly Waiting[], failedSyncs: number): Promise<void> {
    let rest = group;
    let moves = 0;
    let fruitless = 0;
    let syncFailures = failedSyncs;
    while (rest.length > 0) {
      try {
        const { done, synced, moved } = await writeOnce(rest);
        const written = rest.slice(0, done);
        if (!synced) keepUnsynced(written);
        for (const { resolve } of written) resolve();
        rest = rest.slice(done);
        if (moved) moves += 1;
        else if (done === 0) fruitless += 1;
        if (moves > MAX_MOVES) throw new Error(`renamed ${moves} times while it was being written`);
        if (fruitless > 1) throw new Error('the disk takes only a part of it, it may be full');
      } catch (error) {
        await letGo();
        try {
          if (!(error instanceof SyncFailure)) throw error;
          syncFailures += 1;
          if (syncFailures > 1 || setAside === undefined) throw error.cause;
          await setAside();
        } catch (final) {
          const failure = ioFailure('append to', path, final);
          for (const { reject } of rest) reject(failure);
          return;
        }
      }
    }
  }

  /** Those for which there is room: as a rule all of them. */
  async function withRoom(group: readonly Waiting[]): Promise<readonly Waiting[]> {
    if (checkRoom === undefined) return group;
    const size = current?.size;
    try {
      await checkRoom(bytesOf(group), size);
      return group;
    } catch {
      // Then as many as fit.
    }
    const admitted: Waiting[] = [];
    let bytes = 0;
    for (const append of group) {
      try {
        await checkRoom(bytes + append.lines.length, size);
        bytes += append.lines.length;
        admitted.push(append);
      } catch (error) {
        append.reject(ioFailure('append to', path, error));
      }
    }
    return admitted;
  }

  async function pump(): Promise<void> {
    clearTimeout(idle);
    // Lets the appends of the same turn come along.
    await Promise.resolve();
    while (waiting.length > 0) {
      const group = waiting.slice(0, Math.max(1, countFitting(waiting, GROUP_BYTES)));
      waiting = waiting.slice(group.length);
      await inTurn(() => commit(group));
      for (const { lines } of group) waitingBytes -= lines.length;
    }
    pumping = undefined;
    idle = setTimeout(() => {
      if (pumping === undefined) void inTurn(letGo);
    }, IDLE_MS).unref();
  }

  return {
    append(lines) {
      if (waitingBytes > 0 && waitingBytes + lines.length > MAX_WAITING_BYTES) {
        const message = `cannot append to ${path}: ${waitingBytes} bytes already wait for the disk`;
        return Promise.reject(
          new EventSessionsError('CONTINGENCY_FAILED', message, { limit: MAX_WAITING_BYTES }),
        );
      }
      waitingBytes += lines.length;
      return new Promise((resolve, reject) => {
        waiting.push({ lines, resolve, reject });
        pumping ??= pump();
      });
    },

    between: (work) =>
      inTurn(async () => {
        await letGo();
        return work();
      }),

    async close() {
      await pumping;
      const lost = await inTurn(letGo);
      if (lost !== undefined) throw lost;
    },
  };
}

function bytesOf(appends: readonly Waiting[]): number {
  let sum = 0;
  for (const { lines } of appends) sum += lines.length;
  return sum;
}

function countFitting(appends: readonly Waiting[], bytes: number): number {
  let sum = 0;
  const over = appends.findIndex(({ lines }) => {
    sum += lines.length;
    return sum > bytes;
  });
  return over === -1 ? appends.length : over;
}

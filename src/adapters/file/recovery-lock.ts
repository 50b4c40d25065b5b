import { readlinkSync } from 'node:fs';
import { type FileHandle, link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { lockDraftOf } from './file-names.js';
import { errnoOf } from './io-failure.js';

/**
 * One recovery at a time over all processes: a file `<path>.lock` that only one can create.
 *
 * The lock saves double work; nothing is lost if it fails. Two recoveries on the same segments replay the same
 * records, which is idempotent, and remove only files that they have read to the end. That is why a lock file is
 * enough, without a fencing token and without proper-lockfile (whose folder-based lock has the same limits).
 *
 * The holder touches the file every {@link HEARTBEAT_MS}. It is stale, and taken over, when it has not been touched
 * for {@link STALE_MS}, or at once when its process is known to be dead. A pid is believed only within the same host
 * and pid namespace: containers that share a volume see each other's numbers, not each other's processes. A time that
 * lies ahead is as far away as one that has passed: the clock was set, and a holder that is alive touches the file by the
 * new one soon.
 *
 * It appears with its content: whoever is killed while it creates one keeps nobody out. But ownership is the identity of
 * the file, not its content, which a full disk may have refused: recovery is what empties a full disk.
 */
export interface RecoveryLock {
  /** False once another process has taken it over. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
}

/** Milliseconds. */
const HEARTBEAT_MS = 5_000;
/** Milliseconds: six missed heartbeats, so a blocked event loop of some seconds costs nothing. */
const STALE_MS = 30_000;

/** Undefined if somebody else holds it. */
export async function acquireLock(path: string, mode: number): Promise<RecoveryLock | undefined> {
  const file =
    (await create(path, mode)) ?? ((await clearStale(path)) ? await create(path, mode) : undefined);
  if (file === undefined) return undefined;
  const { ino, dev } = await file.stat({ bigint: true });
  const heartbeat = setInterval(() => {
    const now = new Date();
    file.utimes(now, now).catch(() => {});
  }, HEARTBEAT_MS).unref();
  let released = false;

  // The open descriptor keeps the inode number from being used again.
  const isHeld = async () => {
    if (released) return false;
    const there = await stat(path, { bigint: true }).catch(() => undefined);
    return there?.ino === ino && there.dev === dev;
  };

  return {
    isHeld,
    async release() {
      if (released) return;
      clearInterval(heartbeat);
      if (await isHeld()) await rm(path, { force: true }).catch(() => {});
      released = true;
      await file.close().catch(() => {});
    },
  };
}

async function create(path: string, mode: number): Promise<FileHandle | undefined> {
  const complete = lockDraftOf(path);
  const file = await open(complete, 'wx', mode);
  try {
    await writeHolder(file);
    await link(complete, path);
    return file;
  } catch (error) {
    await file.close().catch(() => {});
    return errnoOf(error) === 'EEXIST' ? undefined : createInPlace(path, mode);
  } finally {
    await rm(complete, { force: true }).catch(() => {});
  }
}

/** For file systems without hard links. */
async function createInPlace(path: string, mode: number): Promise<FileHandle | undefined> {
  try {
    const file = await open(path, 'wx', mode);
    await writeHolder(file);
    return file;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return undefined;
    throw error;
  }
}

async function writeHolder(file: FileHandle): Promise<void> {
  await file.writeFile(JSON.stringify({ pid: process.pid, host: thisHost() })).catch(() => {});
}

/**
 * Moves a stale lock out of the way. By rename, so that of several processes one gets it; and if what it got is
 * not what it had judged (another was faster, and holds a fresh one), it is put back.
 */
async function clearStale(path: string): Promise<boolean> {
  const judged = await stat(path, { bigint: true }).catch(() => undefined);
  if (judged === undefined) return true;
  const holder = await lockHolder(path);
  if (holder === undefined) return true;
  if (!holder.stale) return false;
  const moved = lockDraftOf(path);
  try {
    await rename(path, moved);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
  const got = await stat(moved, { bigint: true }).catch(() => undefined);
  const isJudged = got?.ino === judged.ino && got.mtimeNs === judged.mtimeNs;
  if (!isJudged) await link(moved, path).catch(() => {});
  await rm(moved, { force: true });
  return isJudged;
}

export interface LockHolder {
  readonly pid: number | undefined;
  /** Undefined where it can't be told: another host or pid namespace, or a file that a full disk has left empty. */
  readonly alive: boolean | undefined;
  /** Milliseconds between now and when it last touched the lock, which lies ahead if the clock was set back since. */
  readonly silentMs: number;
  /** The next recovery takes it over. */
  readonly stale: boolean;
}

/** Who holds the lock, for looking only; undefined if nobody does. */
export async function lockHolder(path: string): Promise<LockHolder | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const silentMs = Math.abs(Date.now() - found.mtimeMs);
  let pid: number | undefined;
  let alive: boolean | undefined;
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as { pid?: unknown; host?: unknown };
    if (typeof holder.pid === 'number') pid = holder.pid;
    if (pid !== undefined && holder.host === thisHost()) {
      process.kill(pid, 0);
      alive = true;
    }
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') alive = false;
    // It runs as another user.
    if (errnoOf(error) === 'EPERM') alive = true;
  }
  return { pid, alive, silentMs, stale: alive === false || silentMs >= STALE_MS };
}

function thisHost(): string {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // Only Linux has it, and only Linux needs it.
  }
  return `${hostname()} ${process.platform} ${namespace}`.trim();
}

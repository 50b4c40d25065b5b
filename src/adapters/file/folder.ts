import { constants, readlinkSync, realpathSync } from 'node:fs';
import { access, mkdir, open, statfs } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { EventSessionsError } from '../../core/errors.js';
import { errnoOf, ioFailure } from './io-failure.js';

/** What Windows, and some network file systems, answer to opening or syncing a folder. A real fault (EIO) is not here. */
const UNSUPPORTED = new Set(['EISDIR', 'EPERM', 'EINVAL', 'ENOTSUP', 'EBADF']);

/** Makes creations, renames and removals in the folder survive the machine, where the platform can. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    const windowsRefuses = process.platform === 'win32' && errno === 'EACCES';
    if (!UNSUPPORTED.has(errno) && !windowsRefuses) throw error;
  }
}

/** Creates the folder and those above it that are missing, durably. */
export async function makeFolder(folder: string): Promise<void> {
  const topmost = await mkdir(folder, { recursive: true });
  if (topmost === undefined) return;
  for (let created = folder; created.length >= topmost.length; created = dirname(created)) {
    await syncFolder(dirname(created));
  }
}

/** As many as Linux follows. */
const MAX_LINKS = 40;

/**
 * The file that a path stands for when it is a symbolic link, or a chain of them; it need not be there. A rename would
 * move the link, while whoever goes by another path to the file has its parts beside the file.
 */
export function fileBehind(path: string): string {
  let file = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const target = targetOf(file);
    if (target === undefined) return file;
    const from = isAbsolute(target) ? target : `${dirname(file)}/${target}`;
    file = join(folderBehind(dirname(from)), basename(from));
  }
  return path;
}

function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Where `..` leads, only the file system knows; `native`, since otherwise Node takes it out of the text beforehand. */
function folderBehind(folder: string): string {
  try {
    return realpathSync.native(folder);
  } catch {
    return resolve(folder);
  }
}

/**
 * Resolves if the file could be written to, or created, as far as can be told without touching anything: permission,
 * a writable mount, a free block.
 *
 * @throws `CONTINGENCY_FAILED` naming path and errno
 */
export async function checkWritable(path: string): Promise<void> {
  for (let target = path; ; target = dirname(target)) {
    try {
      await access(target, constants.W_OK);
      const { bavail } = await statfs(target);
      if (bavail > 0) return;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && dirname(target) !== target) continue;
      throw ioFailure('write to', target, error);
    }
    throw new EventSessionsError('CONTINGENCY_FAILED', `cannot write to ${target}: ENOSPC`);
  }
}

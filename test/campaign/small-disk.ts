import { execFile } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of its own for a log, that can be filled up to the last byte. */
export interface SmallDisk {
  fill(): Promise<void>;
  empty(): Promise<void>;
  remove(): Promise<void>;
}

/** Mounts a small tmpfs under the folder; undefined where that is not allowed. */
export async function mountSmallDisk(folder: string): Promise<SmallDisk | undefined> {
  await mkdir(folder, { recursive: true });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
  } catch {
    return undefined;
  }
  const filler = join(folder, 'filler');
  return {
    async fill() {
      const file = await open(filler, 'w');
      const chunk = Buffer.alloc(65_536);
      try {
        // A short write is the disk's way to say that it is full; a page may be left.
        for (let size = chunk.length; size >= 1; size = Math.floor(size / 2)) {
          let written = size;
          while (written === size) ({ bytesWritten: written } = await file.write(chunk.subarray(0, size)));
        }
      } catch {
        // ENOSPC.
      } finally {
        await file.close();
      }
    },
    empty: () => rm(filler, { force: true }),
    async remove() {
      await run('umount', ['-l', folder]);
    },
  };
}

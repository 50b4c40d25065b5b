import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenFile } from '../../../../src/adapters/file/append-file.js';

/** A disk that keeps, when the power fails, only what was synced. */
export interface VolatileDisk {
  readonly openFile: OpenFile;
  /** Resolves when the power fails. From then on no operation ever ends. */
  readonly powerFailed: Promise<void>;
  /** Called with each sync before it is done. */
  onSync: () => void;
  /** Puts what is left of the files in a folder when the machine is on again into another, new one. */
  restart(from: string, to: string): Promise<void>;
}

const BLOCK = 512;
const never = new Promise<never>(() => {});

/** The power fails at the operation of this number, before or after it has been done. */
export function volatileDisk(failsAt: number, random: () => number): VolatileDisk {
  /** Bytes of each file that are safe, by inode. */
  const synced = new Map<bigint, number>();
  let operations = 0;
  let failed = false;
  let fail = () => {};
  const powerFailed = new Promise<void>((resolve) => {
    fail = () => {
      failed = true;
      resolve();
    };
  });

  async function operation<T>(work: () => Promise<T>): Promise<T> {
    if (failed) return never;
    operations += 1;
    if (operations !== failsAt) {
      const result = await work();
      return failed ? never : result;
    }
    if (random() < 0.5) await work();
    fail();
    return never;
  }

  const disk: VolatileDisk = {
    powerFailed,
    onSync: () => {},
    async openFile(path, flags, mode) {
      const file = await open(path, flags, mode);
      const { ino, size } = await file.stat({ bigint: true });
      if (!synced.has(ino)) synced.set(ino, Number(size));
      return {
        stat: (options) => file.stat(options),
        close: () => file.close(),
        write: (data) => operation(() => file.write(data)),
        datasync: () =>
          operation(async () => {
            disk.onSync();
            synced.set(ino, (await file.stat()).size);
          }),
      };
    },
    async restart(from, to) {
      await mkdir(to);
      for (const name of await readdir(from)) {
        // A lock is held by a process that is no more; here its remains live on, and would be believed.
        if (name.includes('.lock')) continue;
        const { ino } = await stat(join(from, name), { bigint: true });
        const bytes = await readFile(join(from, name));
        const safe = synced.get(ino) ?? bytes.length;
        await writeFile(join(to, name), afterPowerLoss(bytes, safe, random));
      }
    },
  };
  return disk;
}

/** Of what was not synced: nothing, the beginning, or some blocks, the others being zero. */
function afterPowerLoss(bytes: Buffer, safe: number, random: () => number): Buffer {
  const choice = random();
  if (choice < 0.4) return bytes.subarray(0, safe);
  if (choice < 0.7) return bytes.subarray(0, safe + Math.floor(random() * (bytes.length - safe)));
  for (let from = safe; from < bytes.length; from += BLOCK) {
    if (random() < 0.5) bytes.fill(0, from, Math.min(from + BLOCK, bytes.length));
  }
  return bytes;
}

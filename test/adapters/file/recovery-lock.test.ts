import { readFileSync } from 'node:fs';
import promises, { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { acquireLock, lockHolder } from '../../../src/adapters/file/recovery-lock.js';
import { added, inFolder, sealOf } from './support/log-files.js';

const { link } = promises;

/** What becomes of hard links from here on. */
function onLink(replacement: typeof link): void {
  promises.link = replacement;
  syncBuiltinESMExports();
}

afterEach(() => onLink(link));

describe('the lock of a recovery', () => {
  it('is there with its content, or not at all', async () => {
    await inFolder(async (folder, path) => {
      const seen: unknown[] = [];
      onLink(async (existing, created) => {
        seen.push(JSON.parse(readFileSync(existing, 'utf8')));
        expect(await readdir(folder)).not.toContain('log.jsonl.lock');
        await link(existing, created);
      });
      const lock = await acquireLock(`${path}.lock`, 0o600);
      expect(seen).toMatchObject([{ pid: process.pid }]);
      expect(JSON.parse(await readFile(`${path}.lock`, 'utf8'))).toEqual(seen[0]);
      expect(await readdir(folder)).toEqual(['log.jsonl.lock']);
      expect(await lock?.isHeld()).toBe(true);
      await lock?.release();
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it('goes to one of many who ask at once', async () => {
    await inFolder(async (folder, path) => {
      const locks = await Promise.all(Array.from({ length: 20 }, () => acquireLock(`${path}.lock`, 0o600)));
      const held = locks.filter((lock) => lock !== undefined);
      expect(held).toHaveLength(1);
      expect(await readdir(folder)).toEqual(['log.jsonl.lock']);
      await held[0]?.release();
    });
  });

  it.each(['EPERM', 'ENOTSUP', 'EMLINK'])('does without hard links where they fail with %s', async (code) => {
    await inFolder(async (folder, path) => {
      onLink(() => Promise.reject(Object.assign(new Error(code), { code })));
      const lock = await acquireLock(`${path}.lock`, 0o600);
      expect(await lock?.isHeld()).toBe(true);
      expect(await lockHolder(`${path}.lock`)).toMatchObject({ pid: process.pid, alive: true });
      expect(await acquireLock(`${path}.lock`, 0o600)).toBeUndefined();
      expect(await readdir(folder)).toEqual(['log.jsonl.lock']);
      await lock?.release();
    });
  });

  it('is not kept from others by one that was killed while it made its own', async () => {
    await inFolder(async (folder, path) => {
      await writeFile(join(folder, 'log.jsonl.lock.0123abcd'), '');
      const log = fileContingency({ path });
      await log.append([added('a')]);
      const sealed = await sealOf(log);
      expect((await readdir(folder)).filter((name) => name.includes('.lock'))).toEqual(['log.jsonl.lock']);
      await sealed.release();
      await log.close();
    });
  });

  it('is stale when it was last touched before the clock was set back, as when it has not been touched for long', async () => {
    await inFolder(async (folder, path) => {
      const file = `${path}.lock`;
      const touched = async (secondsAgo: number) => {
        await writeFile(file, '');
        const at = Date.now() / 1_000 - secondsAgo;
        await utimes(file, at, at);
      };
      for (const fresh of [10, -10]) {
        await touched(fresh);
        expect(await lockHolder(file)).toMatchObject({ stale: false });
        expect(await acquireLock(file, 0o600)).toBeUndefined();
      }
      for (const stale of [3_600, -3_600]) {
        await touched(stale);
        expect(await lockHolder(file)).toMatchObject({ stale: true });
        const lock = await acquireLock(file, 0o600);
        expect(await lock?.isHeld()).toBe(true);
        await lock?.release();
      }
      expect(await readdir(folder)).toEqual([]);
    });
  });
});

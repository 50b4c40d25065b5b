import { once } from 'node:events';
import { access, readdir, readFile, rename, stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { contingencyOn } from '../../../src/adapters/file/file-contingency.js';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { startAppender } from './support/children.js';
import { failingAt, filesWith, type Hooks } from './support/faulty-files.js';
import { added, idsOf, inFolder } from './support/log-files.js';

const MIB = 1024 ** 2;

/** A log whose syncs come by the interval, with what happens to its files. */
function logAt(path: string, hooks: Hooks = {}) {
  const { openFile, opened } = filesWith(hooks);
  return { log: contingencyOn({ path, fsync: 'interval' }, openFile), opened };
}

const syncsOf = (opened: readonly { syncs: number }[]) => opened.map(({ syncs }) => syncs);

describe("fsync 'interval'", () => {
  // No interval ends before the test says so.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('acknowledges without a sync, and syncs once for all of an interval', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path);
      for (let i = 0; i < 3; i += 1) await log.append([added(`${i}`)]);
      await vi.advanceTimersByTimeAsync(999);
      expect(opened).toMatchObject([{ writes: 3, syncs: 0 }]);
      await vi.advanceTimersByTimeAsync(1);
      await expect.poll(() => syncsOf(opened)).toEqual([1]);
      await log.append([added('3')]);
      expect(syncsOf(opened)).toEqual([1]);
      await vi.advanceTimersByTimeAsync(1_000);
      await expect.poll(() => syncsOf(opened)).toEqual([2]);
      await log.close();
      expect(syncsOf(opened)).toEqual([2]);
    });
  });

  it('syncs at close', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path);
      await log.append([added('0')]);
      expect(opened).toMatchObject([{ writes: 1, syncs: 0 }]);
      await log.close();
      expect(opened).toMatchObject([{ writes: 1, syncs: 1, closed: true }]);
    });
  });

  it('syncs before the file is sealed, under the name it was written to', async () => {
    await inFolder(async (_, path) => {
      let whileSyncing: Promise<void> | undefined;
      const datasync = () => {
        whileSyncing = access(path);
        return whileSyncing;
      };
      const { log, opened } = logAt(path, { datasync });
      await log.append([added('0')]);
      expect(await idsOf(log)).toEqual(['0']);
      expect(syncsOf(opened)).toEqual([1]);
      expect(whileSyncing).toBeDefined();
      await log.close();
    });
  });

  it('syncs a file that somebody else has sealed before it lets it go', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path);
      await log.append([added('0')]);
      await rename(path, `${path}.000000000001-00000000.sealed`);
      await log.append([added('1')]);
      expect(opened).toMatchObject([
        { syncs: 1, closed: true },
        { syncs: 0, closed: false },
      ]);
      expect(await idsOf(log)).toEqual(['0', '1']);
      await log.close();
    });
  });

  it('syncs at once what would be too much to hold a copy of', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path);
      for (let i = 0; i < 17; i += 1) await log.append([added(`${i}`, { text: 'x'.repeat(MIB) })]);
      expect(syncsOf(opened)).toEqual([1]);
      await log.close();
      expect(syncsOf(opened)).toEqual([2]);
    });
  });

  it('writes to a new file what a failed sync may have dropped, and syncs the old one never again', async () => {
    await inFolder(async (folder, path) => {
      const { log, opened } = logAt(path, { datasync: failingAt([1], 'EIO') });
      await log.append([added('0')]);
      await log.append([added('1')]);
      await vi.advanceTimersByTimeAsync(1_000);
      await expect.poll(() => syncsOf(opened)).toEqual([1, 1]);
      await log.append([added('2')]);
      await log.close();
      expect(opened[0]).toMatchObject({ syncs: 1, closed: true });
      expect((await readdir(folder)).filter((name) => name.endsWith('.sealed'))).toHaveLength(1);
      const live = await readFile(path, 'utf8');
      for (const id of ['0', '1', '2']) expect(live).toContain(`"id":"${id}"`);
      const again = fileContingency({ path });
      expect([...new Set(await idsOf(again))]).toEqual(['0', '1', '2']);
      await again.close();
    });
  });

  it('says aloud what can neither be synced nor written again, and waits for the disk until it works', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path, { datasync: failingAt([1, 2, 3], 'EIO') });
      const warned = once(process, 'warning');
      await log.append([added('0')]);
      const bytes = (await stat(path)).size;
      await vi.advanceTimersByTimeAsync(1_000);
      const [warning] = await warned;
      expect(warning).toMatchObject({
        name: 'EventSessionsWarning',
        code: 'CONTINGENCY_FAILED',
        message:
          `${bytes} bytes of acknowledged contingency records may not survive this machine: ` +
          `cannot append to ${path}: EIO`,
      });
      // The third sync fails, the fourth one works: the append has waited for it.
      await log.append([added('1')]);
      expect(syncsOf(opened)).toEqual([1, 1, 1, 1]);
      await log.append([added('2')]);
      expect(syncsOf(opened).reduce((sum, syncs) => sum + syncs, 0)).toBe(4);
      expect([...new Set(await idsOf(log))]).toEqual(['0', '1', '2']);
      await log.close();
    });
  });

  it('rejects the append instead of acknowledging it while the disk does not work', async () => {
    await inFolder(async (_, path) => {
      const { log } = logAt(path, { datasync: failingAt([1, 2, 3, 4], 'EIO') });
      await log.append([added('0')]);
      const warned = once(process, 'warning');
      expect(await idsOf(log)).toContain('0');
      await warned;
      await expect(log.append([added('1')])).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: `cannot append to ${path}: EIO`,
      });
      await log.append([added('2')]);
      await log.close();
    });
  });

  it('rejects the close that could not sync', async () => {
    await inFolder(async (_, path) => {
      const { log, opened } = logAt(path, { datasync: failingAt([1, 2], 'EIO') });
      await log.append([added('0')]);
      const warned = once(process, 'warning');
      await expect(log.close()).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: expect.stringMatching(/^\d+ bytes of acknowledged .*EIO$/),
      });
      await warned;
      expect(opened.every(({ closed }) => closed)).toBe(true);
      await log.close();
    });
  });
});

it.each(['interval', 'never'] as const)(
  "with fsync '%s' what was acknowledged survives the process, killed at any moment",
  async (fsync) => {
    await inFolder(async (_, path) => {
      const appender = startAppender(path, 'k', 100_000, 1_000, 1, { fsync });
      await appender.begun;
      await expect.poll(async () => (await stat(path)).size).toBeGreaterThan(20_000);
      appender.child.kill('SIGKILL');
      const acknowledged = await appender.acknowledged;
      expect(acknowledged.length).toBeGreaterThan(0);
      const log = fileContingency({ path });
      expect(await idsOf(log)).toEqual(expect.arrayContaining(acknowledged));
      await log.close();
    });
  },
);

import { access, mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { contingencyOn } from '../../../src/adapters/file/file-contingency.js';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { failingAt, fault, filesWith } from './support/faulty-files.js';
import { added, entriesOf, idOf, idsOf, inFolder, placesOf, sealOf } from './support/log-files.js';

describe('a failed fsync', () => {
  it('is answered by writing the records to a new file, and that descriptor is not synced again', async () => {
    await inFolder(async (folder, path) => {
      const { openFile, opened } = filesWith({ datasync: failingAt([2], 'EIO') });
      const log = contingencyOn({ path }, openFile);
      await log.append([added('0')]);
      await log.append([added('1'), added('2')]);
      await log.append([added('3')]);
      expect(opened).toMatchObject([
        { writes: 2, syncs: 2, closed: true },
        { writes: 2, syncs: 2, closed: false },
      ]);
      expect((await readdir(folder)).filter((name) => name.endsWith('.sealed'))).toHaveLength(1);
      const live = await readFile(path, 'utf8');
      for (const id of ['1', '2', '3']) expect(live).toContain(`"id":"${id}"`);
      expect([...new Set(await idsOf(log))]).toEqual(['0', '1', '2', '3']);
      await log.close();
    });
  });

  it('twice in a row rejects with path and errno, and a later append tries afresh', async () => {
    await inFolder(async (_, path) => {
      const { openFile, opened } = filesWith({ datasync: failingAt([2, 3], 'EIO') });
      const log = contingencyOn({ path }, openFile);
      await log.append([added('0')]);
      await expect(log.append([added('1')])).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: `cannot append to ${path}: EIO`,
        cause: { code: 'EIO' },
      });
      await log.append([added('2')]);
      expect(opened.map(({ syncs }) => syncs)).toEqual([2, 1, 1]);
      expect(await idsOf(log)).toEqual(expect.arrayContaining(['0', '2']));
      await log.close();
    });
  });

  it('of the quarantine keeps the sealed part', async () => {
    await inFolder(async (_, path) => {
      const { openFile } = filesWith({ datasync: failingAt([2], 'EIO') });
      const log = contingencyOn({ path }, openFile);
      await log.append([added('0')]);
      const sealed = await sealOf(log);
      const entry = { place: 0, record: added('0'), reason: 'unknown' };
      await expect(sealed.quarantine([entry])).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      await sealed.release();
      expect(await idsOf(log)).toEqual(['0']);
      await log.close();
    });
  });
});

describe('a short write', () => {
  it('is completed behind the torn part, which stays apart', async () => {
    await inFolder(async (_, path) => {
      let short = 1;
      const { openFile } = filesWith({ write: (bytes) => (short-- > 0 ? Math.floor(bytes / 2) : bytes) });
      const log = contingencyOn({ path }, openFile);
      await log.append([added('0')]);
      await log.append([added('1')]);
      const entries = await entriesOf(log);
      expect(entries.map(idOf)).toEqual(['unreadable: not JSON', '0', '1']);
      await log.close();
    });
  });

  it('acknowledges what fitted and rejects the rest', async () => {
    await inFolder(async (_, path) => {
      let call = 0;
      const { openFile } = filesWith({
        write: (bytes) => {
          call += 1;
          if (call === 1) return Math.floor(bytes * 0.6);
          throw fault('ENOSPC');
        },
      });
      const log = contingencyOn({ path }, openFile);
      const appends = ['0', '1', '2', '3'].map((id) => log.append([added(`${id}-0`), added(`${id}-1`)]));
      const outcomes = (await Promise.allSettled(appends)).map(({ status }) => status);
      expect(outcomes).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
      await expect(appends[3]).rejects.toMatchObject({ message: `cannot append to ${path}: ENOSPC` });
      const readable = (await entriesOf(log)).filter((entry) => 'record' in entry).map(idOf);
      expect(readable).toEqual(['0-0', '0-1', '1-0', '1-1']);
      await log.close();
    });
  });

  it('again and again rejects instead of filling the disk', async () => {
    await inFolder(async (_, path) => {
      const { openFile, opened } = filesWith({ write: () => 10 });
      const log = contingencyOn({ path }, openFile);
      await expect(log.append([added('0')])).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      expect(opened[0]?.writes).toBe(2);
      await log.close();
    });
  });
});

describe('errors', () => {
  it.each(['ENOSPC', 'EROFS', 'EACCES', 'EMFILE', 'EIO'])(
    '%s at open or write rejects what waits, not what comes later',
    async (code) => {
      await inFolder(async (_, path) => {
        for (const hook of ['open', 'write'] as const) {
          const fail = failingAt([1], code);
          const { openFile } = filesWith(
            hook === 'open'
              ? { open: fail }
              : {
                  write: (bytes) => {
                    fail();
                    return bytes;
                  },
                },
          );
          const log = contingencyOn({ path }, openFile);
          const outcomes = await Promise.allSettled([log.append([added('0')]), log.append([added('1')])]);
          for (const outcome of outcomes) {
            expect(outcome).toMatchObject({
              status: 'rejected',
              reason: { code: 'CONTINGENCY_FAILED', message: `cannot append to ${path}: ${code}` },
            });
          }
          await log.append([added('2')]);
          expect(await idsOf(log)).toEqual(['2']);
          await log.close();
        }
      });
    },
  );
});

describe('an idle log', () => {
  it('lets go of its file after a while, so that a removed one frees its space', async () => {
    await inFolder(async (_, path) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        const { openFile, opened } = filesWith({});
        const log = contingencyOn({ path }, openFile);
        await log.append([added('0')]);
        await vi.advanceTimersByTimeAsync(4_000);
        await log.append([added('1')]);
        await vi.advanceTimersByTimeAsync(4_000);
        expect(opened).toMatchObject([{ closed: false }]);
        await vi.advanceTimersByTimeAsync(1_000);
        expect(opened).toMatchObject([{ closed: true }]);
        await log.append([added('2')]);
        expect(opened).toMatchObject([{ closed: true }, { closed: false }]);
        await log.close();
      } finally {
        vi.useRealTimers();
      }
    });
  });
});

describe('group commit', () => {
  it('shares one write and one sync among appends that wait together', async () => {
    await inFolder(async (_, path) => {
      const { openFile, opened } = filesWith({});
      const log = contingencyOn({ path }, openFile);
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => log.append([added(`${i}`)])));
      expect(opened).toMatchObject([{ writes: 1, syncs: 1 }]);
      await log.close();
    });
  });

  it('does not sync when told not to', async () => {
    await inFolder(async (_, path) => {
      const { openFile, opened } = filesWith({});
      const log = contingencyOn({ path, fsync: 'never' }, openFile);
      await log.append([added('0')]);
      expect(opened).toMatchObject([{ writes: 1, syncs: 0 }]);
      await log.close();
    });
  });

  it('bounds a group, and what waits for a disk that hangs', async () => {
    await inFolder(async (_, path) => {
      const sizes: number[] = [];
      let goOn = () => {};
      const hanging = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const { openFile } = filesWith({
        write: async (bytes) => {
          sizes.push(bytes);
          await hanging;
          return bytes;
        },
      });
      const log = contingencyOn({ path }, openFile);
      const text = 'x'.repeat(1024 ** 2);
      const appends = Promise.allSettled(
        Array.from({ length: 70 }, (_, i) => log.append([added(`${i}`, { text })])),
      );
      await expect(log.append([added('more', { text })])).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: expect.stringMatching(/already wait for the disk/),
      });
      goOn();
      const accepted = (await appends).flatMap(({ status }, i) => (status === 'fulfilled' ? [`${i}`] : []));
      expect(accepted.length).toBe(63);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(4 * 1024 ** 2);
      expect(await idsOf(log)).toEqual(accepted);
      await log.close();
    });
  });
});

describe('a record on its way while another process seals, reads and removes the file', () => {
  it.each(['write', 'datasync'] as const)('is not lost when that happens around %s', async (moment) => {
    await inFolder(async (_, path) => {
      const other = fileContingency({ path });
      const recovered: string[] = [];
      let races = 3;
      const race = async () => {
        if (races-- > 0) recovered.push(...(await idsOf(other)));
      };
      const { openFile } = filesWith(
        moment === 'datasync'
          ? { datasync: race }
          : {
              write: async (bytes) => {
                await race();
                return bytes;
              },
            },
      );
      const log = contingencyOn({ path }, openFile);
      await other.append([added('first')]);
      await log.append([added('0')]);
      expect([...recovered, ...(await idsOf(other))]).toContain('0');
      expect(recovered).toContain('first');
      await Promise.all([log.close(), other.close()]);
    });
  });
});

describe('a sealed part that cannot be cleared at close', () => {
  it('does not keep the files open', async () => {
    await inFolder(async (folder, path) => {
      const { openFile, opened } = filesWith({});
      const log = contingencyOn({ path, fsync: 'interval', fsyncIntervalMs: 60_000 }, openFile);
      await log.append([added('0'), added('1')]);
      const sealed = await sealOf(log);
      const [first = -1, second = -1] = await placesOf(sealed);
      await sealed.quarantine([{ place: first, record: added('0'), reason: 'unknown' }]);
      await sealed.settle([second]);
      await log.append([added('2')]);
      const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      await rm(join(folder, segment ?? ''));
      await mkdir(join(folder, segment ?? ''));
      await expect(log.close()).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: expect.stringMatching(`^cannot clear ${path}: `),
      });
      expect(opened).toMatchObject([{ closed: true }, { closed: true }, { syncs: 1, closed: true }]);
      await expect(access(`${path}.lock`)).rejects.toThrow();
    });
  });
});

describe('marks of what is settled', () => {
  it('that could not be written hold in memory, of all segments', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append([added('0'), added('1')]);
      await (await sealOf(log)).release();
      await log.append([added('2'), added('3')]);
      const sealed = await sealOf(log);
      const places = await placesOf(sealed);
      const segments = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      const marks = segments.map((segment) => join(folder, `${segment}.settled`));
      for (const path of marks) await mkdir(path);
      const settled = sealed.settle([places[1] ?? -1, places[2] ?? -1]);
      await expect(settled).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      await sealed.release().catch(() => {});
      for (const path of marks) await rmdir(path);
      expect(await idsOf(log)).toEqual(['0', '3']);
      await log.close();
    });
  });

  it('that could not be written are there for the next process, if they can be at the release', async () => {
    await inFolder(async (folder, path) => {
      const [one, two] = [fileContingency({ path }), fileContingency({ path })];
      await one.append([added('0'), added('1'), added('2')]);
      const sealed = await sealOf(one);
      const [first] = await placesOf(sealed);
      const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      const marks = join(folder, `${segment}.settled`);
      await mkdir(marks);
      await expect(sealed.settle([first ?? -1])).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      await rmdir(marks);
      await sealed.release();
      expect(await idsOf(two)).toEqual(['1', '2']);
      await Promise.all([one.close(), two.close()]);
    });
  });
});

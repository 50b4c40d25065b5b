import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  access,
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { backlogCounter } from '../../../src/adapters/file/backlog-count.js';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { decodeRecord } from '../../../src/adapters/file/record-line.js';
import { sealedSegments } from '../../../src/adapters/file/sealed-segments.js';
import type { QuarantinedEntry } from '../../../src/ports/contingency-log.js';
import { contingencyLogCases } from '../../../src/testing/contingency-cases.js';
import {
  added,
  entriesOf,
  idOf,
  idsOf,
  inFolder,
  placesOf,
  removeFolder,
  sealOf,
  temporaryFolder,
} from './support/log-files.js';

async function quarantinedIn(path: string): Promise<QuarantinedEntry[]> {
  const lines = (await readFile(`${path}.quarantine.jsonl`, 'utf8'))
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => {
    const { reason, record, unreadable } = JSON.parse(line);
    if (record === undefined) return { unreadable, reason };
    const decoded = decodeRecord(Buffer.from(line.slice(line.indexOf('"record":') + '"record":'.length, -1)));
    if ('reason' in decoded) throw new Error(decoded.reason);
    return { record: decoded.record, reason };
  });
}

describe('fileContingency keeps the rules of the port', () => {
  const make = async (options: Parameters<typeof fileContingency>[0] = {}) => {
    const folder = await temporaryFolder();
    const path = join(folder, 'log.jsonl');
    const open = () => fileContingency({ path, ...options });
    return {
      log: open(),
      reopen: async () => open(),
      quarantined: () => quarantinedIn(path),
      dispose: () => removeFolder(folder),
    };
  };
  const cases = contingencyLogCases(make, { makeBounded: (maxBytes) => make({ maxBytes }) });
  for (const { name, run } of cases) it(name, run);

  for (const fsync of ['interval', 'never'] as const) {
    const unsynced = contingencyLogCases(() => make({ fsync }));
    for (const { name, run } of unsynced) it(`with fsync '${fsync}': ${name}`, run);
  }
});

describe('fileContingency', () => {
  it('creates nothing before the first append', async () => {
    await inFolder(async (folder) => {
      const log = fileContingency({ path: join(folder, 'sub', 'log.jsonl') });
      await log.ping();
      expect(await log.seal()).toBe('empty');
      expect(await log.backlog()).toEqual({ records: 0, bytes: 0, oldestAt: undefined });
      expect(await readdir(folder)).toEqual([]);
      await log.append([added('0')]);
      expect(await readdir(join(folder, 'sub'))).toEqual(['log.jsonl']);
      await log.close();
    });
  });

  it('creates its files for their owner only, and with the mode asked for', async () => {
    await inFolder(async (folder) => {
      for (const [name, mode] of [
        ['a', undefined],
        ['b', 0o640],
      ] as const) {
        const path = join(folder, name);
        const log = fileContingency({ path, ...(mode && { mode }) });
        await log.append([added('0')]);
        expect((await stat(path)).mode & 0o777).toBe(mode ?? 0o600);
        await log.append([added('1'), added('2')]);
        const sealed = await sealOf(log);
        const places = await placesOf(sealed);
        await sealed.settle(places.slice(0, 1));
        await sealed.quarantine([{ place: places[1] ?? -1, unreadable: 'x', reason: 'y' }]);
        const files = await readdir(folder);
        expect(files.filter((file) => file.endsWith('.settled'))).not.toEqual([]);
        for (const file of files.filter((file) => file.startsWith(name))) {
          expect((await stat(join(folder, file))).mode & 0o777).toBe(mode ?? 0o600);
        }
        await log.close();
      }
    });
  });

  it('leaves only the quarantine behind when all is recovered', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      await log.append([added('1')]);
      const sealed = await sealOf(log);
      const [first = -1, second = -1] = await placesOf(sealed);
      await sealed.quarantine([{ place: first, record: added('0'), reason: 'unknown' }]);
      await sealed.settle([second]);
      await sealed.release();
      expect(await readdir(folder)).toEqual(['log.jsonl.quarantine.jsonl']);
      await log.close();
    });
  });

  it('keeps the place of what is kept: before what was appended meanwhile', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0'), added('1')]);
      const sealed = await sealOf(log);
      await log.append([added('2')]);
      await sealed.settle((await placesOf(sealed)).slice(0, 1));
      await sealed.release();
      expect(await idsOf(log)).toEqual(['1', '2']);
      await log.close();
    });
  });

  it('G7: has few segments, and keeps their order, as long as a line can be neither read nor quarantined', async () => {
    await inFolder(async (folder, path) => {
      const sealedIn = async () => (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      const damaged = [15, 35];
      await mkdir(`${path}.quarantine.jsonl`);
      const log = fileContingency({ path, fsync: 'never' });
      for (let pass = 0; pass < 50; pass += 1) {
        await log.append([added(`${pass}`)]);
        if (damaged.includes(pass)) await appendFile(path, 'damaged\n');
        const sealed = await sealOf(log);
        for await (const entries of sealed.read())
          for (const entry of entries)
            if ('unreadable' in entry)
              await expect(sealed.quarantine([entry])).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
        await sealed.release();
        // At most eight in front of each of the two, and behind them.
        expect((await sealedIn()).length).toBeLessThanOrEqual(3 * 8 + 2);
      }
      await rmdir(`${path}.quarantine.jsonl`);
      expect((await idsOf(log)).filter((id) => !id.startsWith('unreadable'))).toEqual(
        Array.from({ length: 50 }, (_, pass) => `${pass}`),
      );
      expect(await sealedIn()).toEqual([]);
      await log.close();
    });
  });

  it('brings nothing twice when a recovery dies between merging what is left and removing what it came from', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append(Array.from({ length: 5 }, (_, i) => added(`${i}`)));
      const sealed = await sealOf(log);
      await sealed.settle((await placesOf(sealed)).slice(0, 3));
      const before = await Promise.all(
        (await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name))] as const),
      );
      await sealed.release();
      const merged = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      expect(merged).toHaveLength(1);
      for (const [name, bytes] of before)
        if (!name.endsWith('.lock')) await writeFile(join(folder, name), bytes);
      expect(await idsOf(fileContingency({ path }))).toEqual(['3', '4']);
      expect(await readdir(folder)).toEqual([]);
      await log.close();
    });
  });

  it('takes a damaged mark for none: what it settled comes again, and nothing else is lost', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append(Array.from({ length: 6 }, (_, i) => added(`${i}`)));
      const sealed = await sealOf(log);
      const places = await placesOf(sealed);
      await sealed.settle(places.slice(0, 1));
      await sealed.settle(places.slice(2, 4));
      await log.close();
      const files = await readdir(folder);
      const marks = join(folder, files.find((name) => name.endsWith('.settled')) ?? '');
      const good = await readFile(marks);
      for (let byte = 0; byte < good.length; byte += 1) {
        for (const damaged of [good.subarray(0, byte), Buffer.from(good)]) {
          if (damaged.length === good.length) damaged[byte] = (damaged[byte] ?? 0) ^ 1;
          await writeFile(marks, damaged);
          const next = fileContingency({ path });
          const again = await sealOf(next);
          const left = (await again.fetch(await placesOf(again), 1_000_000)).map((record) =>
            idOf({ record }),
          );
          expect(['1,4,5', '0,1,4,5', '1,2,3,4,5', '0,1,2,3,4,5']).toContain(left.join());
          await writeFile(marks, '');
          await next.close();
        }
      }
    });
  });

  it('can be read with jq: one object a line, the event as an object', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0'), added('1')]);
      await log.close();
      const objects = (await readFile(path, 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
      expect(objects).toEqual([
        expect.objectContaining({
          v: 1,
          kind: 'event.added',
          part: 1,
          parts: 2,
          event: expect.objectContaining({ id: '0' }),
        }),
        expect.objectContaining({
          v: 1,
          kind: 'event.added',
          part: 2,
          parts: 2,
          event: expect.objectContaining({ id: '1' }),
        }),
      ]);
    });
  });

  it('goes on behind a file that ends in a torn line', async () => {
    await inFolder(async (_, path) => {
      await writeFile(path, '{"v":1,"kind":"event.added","sess');
      const log = fileContingency({ path });
      await log.append([added('0')]);
      expect(await entriesOf(log)).toEqual([
        { unreadable: '{"v":1,"kind":"event.added","sess', reason: 'not JSON' },
        { record: added('0') },
      ]);
      await log.close();
    });
  });

  it('goes on when another process seals, or somebody removes the file', async () => {
    await inFolder(async (_, path) => {
      const [one, two] = [fileContingency({ path }), fileContingency({ path })];
      await one.append([added('0')]);
      expect(await idsOf(two)).toEqual(['0']);
      await one.append([added('1')]);
      expect(await idsOf(two)).toEqual(['1']);
      await one.append([added('2')]);
      await rename(path, `${path}.moved`);
      await one.append([added('3')]);
      expect(await idsOf(two)).toEqual(['3']);
      await Promise.all([one.close(), two.close()]);
    });
  });

  it('reads what two processes have set aside at the same time, under the same number, in order', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      for (const [id, random] of [
        ['0', 'ffffffff'],
        ['1', '00000000'],
      ] as const) {
        await log.append([added(id)]);
        await rename(path, `${path}.000000000001-${random}.sealed`);
        await untilNewFilesAreYounger(`${path}.000000000001-${random}.sealed`);
      }
      await log.append([added('2')]);
      expect(await idsOf(log)).toEqual(['0', '1', '2']);
      await log.close();
    });
  });

  it('finds the part whose recovery died, and takes its lock over at once', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      const child = spawn(process.execPath, [
        '--import',
        'tsx',
        join(import.meta.dirname, 'support', 'seal-and-wait.ts'),
        path,
      ]);
      await once(child.stdout, 'data');
      expect(await log.seal()).toBe('busy');
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      await writeFile(
        `${path}.000000000001-00000000.sealed.tmp`,
        'half of what a dying recovery wanted to keep',
      );
      await log.append([added('1')]);
      expect(await idsOf(log)).toEqual(['0', '1']);
      expect(await readdir(folder)).toEqual([]);
      await log.close();
    });
  });

  it('takes over a lock that nobody touches any more, not one that is fresh', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      await writeFile(`${path}.lock`, JSON.stringify({ pid: 1, host: 'elsewhere' }));
      expect(await log.seal()).toBe('busy');
      const before = new Date(Date.now() - 60_000);
      await utimes(`${path}.lock`, before, before);
      expect(await idsOf(log)).toEqual(['0']);
      await expect(access(`${path}.lock`)).rejects.toThrow();
      await log.close();
    });
  });

  it('is read no further by one that has lost the lock meanwhile', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path, fsync: 'never' });
      const records = Array.from({ length: 400 }, (_, i) => added(`e-${i}`, { text: 'x'.repeat(4_000) }));
      for (let from = 0; from < 400; from += 10) await log.append(records.slice(from, from + 10));
      const sealed = await sealOf(log);
      let read = 0;
      const reading = (async () => {
        for await (const entries of sealed.read()) {
          read += entries.length;
          if (read < 100) continue;
          await rename(`${path}.lock`, `${path}.lock.stolen`);
          await writeFile(`${path}.lock`, '');
        }
      })();
      await expect(reading).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      expect(read).toBeLessThan(200);
      await sealed.release();
      await log.close();
    });
  });

  it('refuses to settle once another process has taken the recovery over', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      const sealed = await sealOf(log);
      const places = await placesOf(sealed);
      await rename(`${path}.lock`, `${path}.lock.stolen`);
      await writeFile(`${path}.lock`, '');
      await expect(sealed.settle(places)).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      await sealed.release();
      await access(`${path}.lock`);
      await log.close();
    });
  });

  it('counts the backlog of other processes too, and reads nothing twice', async () => {
    await inFolder(async (_, path) => {
      const [one, two] = [fileContingency({ path }), fileContingency({ path })];
      await one.append([added('0', { at: 7 })]);
      expect(await two.backlog()).toMatchObject({ records: 1, oldestAt: 7 });
      await appendFile(path, '\n{"torn');
      expect(await two.backlog()).toMatchObject({ records: 1 });
      await one.append([added('1', { at: 5 })]);
      const [a, b] = await Promise.all([two.backlog(), two.backlog()]);
      expect(a).toMatchObject({ records: 3, oldestAt: 5, bytes: (await stat(path)).size });
      expect(b).toEqual(a);
      const sealed = await sealOf(one);
      expect(await two.backlog()).toEqual(a);
      await sealed.settle(await placesOf(sealed));
      await sealed.release();
      expect(await two.backlog()).toEqual({ records: 0, bytes: 0, oldestAt: undefined });
      await Promise.all([one.close(), two.close()]);
    });
  });

  it('counts a torn line once it is sealed, since a recovery settles it too', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      await appendFile(path, '\n{"v":1,"kind":"event.add');
      expect(await log.backlog()).toMatchObject({ records: 1 });
      const sealed = await sealOf(log);
      expect(await log.backlog()).toMatchObject({ records: 2 });
      const places = await placesOf(sealed);
      expect(places).toHaveLength(2);
      await sealed.quarantine([{ place: places[1] ?? -1, unreadable: '{"v":1', reason: 'torn' }]);
      expect(await log.backlog()).toMatchObject({ records: 1 });
      await sealed.release();
      expect(await fileContingency({ path }).backlog()).toMatchObject({ records: 1 });
      await log.close();
    });
  });

  it('counts what waits, although a segment is gone and what says it is settled is still there', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append([added('0'), added('1')]);
      const sealed = await sealOf(log);
      await sealed.settle(await placesOf(sealed));
      await log.append([added('2')]);
      const segments = sealedSegments(path, 0o600, true);
      const [listed, live] = [await segments.list(), await segments.live()];
      const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      await rm(join(folder, segment ?? ''));
      expect(await backlogCounter()(listed, live)).toMatchObject({ records: 1 });
      await sealed.release();
      await log.close();
    });
  });

  it('is bounded although another process seals it', async () => {
    await inFolder(async (_, path) => {
      const [log, other] = [fileContingency({ path, maxBytes: 20_000 }), fileContingency({ path })];
      const taken: string[] = [];
      for (let i = 0; i < 8; i += 1) {
        const append = log.append([added(`${i}`, { text: 'x'.repeat(6_000) })]);
        await append.then(
          () => taken.push(`${i}`),
          () => {},
        );
        await (await sealOf(other)).release();
      }
      expect(taken).toEqual(['0', '1', '2']);
      expect(await idsOf(other)).toEqual(taken);
      await log.append([added('later')]);
      await Promise.all([log.close(), other.close()]);
    });
  });

  it('keeps nobody out when it is closed while a part is being sealed', async () => {
    await inFolder(async (folder, path) => {
      const [log, other] = [fileContingency({ path }), fileContingency({ path })];
      await log.append([added('0')]);
      await (await sealOf(log)).release();
      const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      const marks = join(folder, `${segment}.settled`);
      await promisify(execFile)('mkfifo', [marks]);
      const sealing = log.seal();
      sealing.catch(() => {});
      // Opens as soon as the seal reads it, and is read to its end when it is closed.
      const writer = await open(marks, 'w');
      await log.close();
      await writer.close();
      await expect(sealing).rejects.toMatchObject({ code: 'CLOSED' });
      await expect(access(`${path}.lock`)).rejects.toThrow();
      await rm(marks);
      expect(await idsOf(other)).toEqual(['0']);
      await other.close();
    });
  });

  it('says what to do when it is full', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path, maxBytes: 500 });
      await log.append([added('0')]);
      await log.append([added('1')]);
      const full = expect.objectContaining({
        code: 'CONTINGENCY_FAILED',
        limit: 500,
        message: expect.stringMatching(/log\.jsonl is full: \d+ of 500 bytes .*raise maxBytes/),
      });
      await expect(log.append([added('2')])).rejects.toEqual(full);
      const sealed = await sealOf(log);
      await expect(log.append([added('2')])).rejects.toEqual(full);
      await sealed.settle(await placesOf(sealed));
      await sealed.release();
      await log.append([added('2')]);
      expect(await idsOf(log)).toEqual(['2']);
      await log.close();
    });
  });

  it('refuses a record that could not be read back', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      const cases = [
        [{ ...added('0'), at: Number.NaN }, 'INVALID_INPUT', /at:/],
        [{ ...added('0'), kind: 'toString' }, 'INVALID_INPUT', /kind "toString"/],
        [{ ...added('0'), event: undefined }, 'INVALID_INPUT', /event:/],
        [added('0', { text: 'x'.repeat(9 * 1024 ** 2) }), 'CONTINGENCY_FAILED', /longer than/],
      ] as const;
      for (const [record, code, message] of cases) {
        await expect(log.append([added('1'), record as never])).rejects.toMatchObject({
          code,
          message: expect.stringMatching(message),
        });
      }
      expect(await readdir(folder)).toEqual([]);
      await log.close();
    });
  });

  it('resolves concurrent appends in order, and many of them by few writes', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: 3_000 }, (_, i) => log.append([added(`${i}`)]).then(() => order.push(i))),
      );
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(await idsOf(log)).toEqual(order.map(String));
      await log.close();
    });
  });

  it('is one log by whatever symbolic links it is reached, also before it exists', async () => {
    await inFolder(async (folder) => {
      const real = join(folder, 'shared', 'deep', 'log.jsonl');
      // As a folder of releases has it: where `..` leads is told by the folder that `current` stands for.
      await mkdir(join(folder, 'releases', '1'), { recursive: true });
      await symlink('releases/1', join(folder, 'current'));
      await symlink('../../other.jsonl', join(folder, 'releases', '1', 'log.jsonl'));
      await symlink(join('shared', 'deep', 'log.jsonl'), join(folder, 'other.jsonl'));
      const byLink = fileContingency({ path: join(folder, 'current', 'log.jsonl') });
      const byPath = fileContingency({ path: real });
      await byLink.append([added('0')]);
      await byPath.append([added('1')]);
      const sealed = await sealOf(byLink);
      expect(await byPath.seal()).toBe('busy');
      await byPath.append([added('2')]);
      await byLink.append([added('3')]);
      await sealed.settle((await placesOf(sealed)).slice(0, 1));
      await sealed.release();
      expect(await idsOf(byPath)).toEqual(['1', '2', '3']);
      expect(await byLink.seal()).toBe('empty');
      expect(await readdir(join(folder, 'releases', '1'))).toEqual(['log.jsonl']);
      expect(await readdir(folder)).toEqual(['current', 'other.jsonl', 'releases', 'shared']);
      await byLink.close();
      await byPath.close();
    });
  });

  it('says so when the path cannot be a log', async () => {
    await inFolder(async (folder) => {
      await writeFile(join(folder, 'file'), '');
      await mkdir(join(folder, 'folder'));
      await symlink('loop', join(folder, 'loop'));
      for (const [path, errno] of [
        ['file/log', 'ENOTDIR'],
        ['folder', 'EISDIR'],
        ['loop', 'ELOOP'],
      ] as const) {
        const log = fileContingency({ path: join(folder, path) });
        await expect(log.append([added('0')])).rejects.toMatchObject({
          code: 'CONTINGENCY_FAILED',
          message: `cannot append to ${join(folder, path)}: ${errno}`,
        });
        await log.close();
      }
    });
  });

  it.each([
    [{ path: '' }, /path: expected the path of a file, got ""/],
    [{ path: 5 }, /path: expected the path of a file, got 5/],
    [{ path: 'a\0b' }, /path/],
    [{ path: 'folder/' }, /path/],
    [{ maxBytes: 0 }, /maxBytes: expected a whole number of at least 1, got 0/],
    [{ mode: 0o1000 }, /mode: expected a whole number from 0 to 511/],
    [{ fsync: 'sometimes' }, /fsync: expected 'always', 'interval' or 'never', got "sometimes"/],
    [{ fsyncIntervalMs: 0 }, /fsyncIntervalMs: expected a whole number of milliseconds from 1/],
    [{ pahth: 'x' }, /pahth/],
  ])('refuses the options %j', (options, message) => {
    expect(() => fileContingency(options as object)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(message) }),
    );
  });

  it('gives pieces of a line that is too long, and the record behind it', async () => {
    await inFolder(async (_, path) => {
      await writeFile(path, 'x'.repeat(20 * 1024 ** 2));
      const log = fileContingency({ path });
      await log.append([added('0')]);
      const entries = await entriesOf(log);
      expect(entries.at(-1)).toEqual({ record: added('0') });
      const pieces = entries
        .slice(0, -1)
        .map((entry) => ('unreadable' in entry ? entry.unreadable.length : Number.NaN));
      expect(pieces.length).toBeGreaterThan(1);
      expect(pieces.reduce((sum, length) => sum + length, 0)).toBe(20 * 1024 ** 2);
      await log.close();
    });
  });
});

/** File systems tell the age of a file in ticks of the kernel's clock. */
async function untilNewFilesAreYounger(path: string): Promise<void> {
  const bornAt = async (file: string) => (await stat(file, { bigint: true })).birthtimeNs;
  const probe = `${path}.probe`;
  do {
    await rm(probe, { force: true });
    await writeFile(probe, '');
  } while ((await bornAt(probe)) <= (await bornAt(path)));
  await rm(probe);
}

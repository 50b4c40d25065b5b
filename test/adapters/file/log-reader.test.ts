import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { type LoggedEntry, openLogSnapshot } from '../../../src/adapters/file/log-reader.js';
import { readQuarantine } from '../../../src/adapters/file/quarantine-reader.js';
import { encodeRecord } from '../../../src/adapters/file/record-line.js';
import { withoutBytes } from '../../../src/contingency/without-bytes.js';
import { startAppender } from './support/children.js';
import { added, idOf, inFolder, placesOf, sealOf } from './support/log-files.js';

async function entriesOf(path: string): Promise<LoggedEntry[]> {
  const snapshot = await openLogSnapshot(path);
  try {
    const entries: LoggedEntry[] = [];
    for await (const entry of snapshot.read()) entries.push(entry);
    return entries;
  } finally {
    await snapshot.close();
  }
}

async function contentsOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const texts = names.map(async (name) => {
    const path = join(folder, name);
    return [name, `${(await stat(path)).mtimeMs} ${await readFile(path, 'latin1')}`] as const;
  });
  return Object.fromEntries(await Promise.all(texts));
}

describe('looking at a log', () => {
  it('that does not exist finds nothing, and creates nothing', async () => {
    await inFolder(async (folder, path) => {
      expect(await entriesOf(path)).toEqual([]);
      expect(await entriesOf(join(folder, 'no', 'such', 'log.jsonl'))).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it('sees what a recovery would see, with sizes, and leaves every byte as it is', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append([added('a'), added('b')]);
      await log.append([added('c')]);
      await log.seal();
      await log.append([added('d')]);
      await writeFile(path, '\nno record\n', { flag: 'a' });
      // Two of three records that were appended together: cut short.
      const cut = [1, 2].map((part) => encodeRecord(added(`cut-${part}`), part, 3));
      await writeFile(path, Buffer.concat([...cut, encodeRecord(added('e'))]), { flag: 'a' });
      const before = await contentsOf(folder);
      const entries = await entriesOf(path);
      expect(await contentsOf(folder)).toEqual(before);

      expect(entries.map(idOf)).toEqual([
        'a',
        'b',
        'c',
        'd',
        'unreadable: not JSON',
        ...[1, 2].map((part) => expect.stringMatching(`part ${part} of an append of 3 that was cut short`)),
        'e',
      ]);
      expect(entries[4]?.bytes).toBe('no record\n'.length);
      expect(entries[7]?.bytes).toBe(encodeRecord(added('e')).length - 1);
      expect(entries.filter(({ unfinished }) => unfinished)).toEqual([]);
      await log.close();
    });
  });

  it('leaves out what a recovery has settled, and segments whose rest has been merged', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      await log.append(['a', 'b', 'c', 'd', 'e'].map((id) => added(id)));
      const sealed = await sealOf(log);
      const places: number[] = [];
      for await (const entries of sealed.read())
        for (const entry of entries) if (!['b', 'e'].includes(idOf(entry))) places.push(entry.place);
      await sealed.settle(places);
      await log.append([added('f')]);
      expect((await entriesOf(path)).map(idOf)).toEqual(['b', 'e', 'f']);
      const [segment = ''] = (await readdir(folder)).filter((name) => name.endsWith('.sealed'));
      const replaced = await readFile(join(folder, segment));
      // More than half of it is settled: what is left is merged into a new segment.
      await sealed.release();
      expect((await entriesOf(path)).map(idOf)).toEqual(['b', 'e', 'f']);
      // As if the process had died before it could remove the old one.
      await writeFile(join(folder, segment), replaced);
      expect((await entriesOf(path)).map(idOf)).toEqual(['b', 'e', 'f']);
      await log.close();
    });
  });

  it('tells the end of a write under way from a damaged line', async () => {
    await inFolder(async (_, path) => {
      const whole = encodeRecord(added('whole'));
      await writeFile(path, Buffer.concat([whole, encodeRecord(added('torn')).subarray(0, -20)]));
      expect((await entriesOf(path)).map((entry) => [idOf(entry), entry.unfinished])).toEqual([
        ['whole', false],
        ['unreadable: not JSON', true],
      ]);
      await writeFile(path, Buffer.concat([whole, encodeRecord(added('group'), 1, 2)]));
      expect((await entriesOf(path)).map(({ unfinished }) => unfinished)).toEqual([false, true]);
    });
  });

  it('misses no acknowledged record while another process appends and a recovery seals, puts back and renames', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      const appender = startAppender(path, 'a', 200, 300, 2);
      const heard: string[] = [];
      let rest = '';
      appender.child.stdout?.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        heard.push(...lines);
      });
      await appender.begun;
      let running = true;
      const ended = appender.acknowledged.finally(() => {
        running = false;
      });
      ended.catch(() => {});

      // Some of it is dealt with, so that segments are removed and merged; the rest comes again and again.
      const done = new Set<string>();
      /** Of those, what was acknowledged before the log was sealed. */
      const settledForGood = new Set<string>();
      const recovery = (async () => {
        for (let round = 0; running || done.size === 0; round += 1) {
          const acknowledged = new Set(heard);
          const sealed = await log.seal();
          if (typeof sealed === 'string') {
            await new Promise((resolve) => setImmediate(resolve));
            continue;
          }
          const places: number[] = [];
          for await (const entries of sealed.read())
            for (const entry of entries) {
              const id = idOf(entry);
              if (round % 3 === 0 || !id.endsWith('7')) continue;
              places.push(entry.place);
              done.add(id);
              if (acknowledged.has(id)) settledForGood.add(id);
            }
          await sealed.settle(places);
          await sealed.release();
        }
      })();

      let looks = 0;
      while (running) {
        const acknowledged = [...heard];
        const entries = await entriesOf(path);
        const found = new Set(entries.map(idOf));
        expect(acknowledged.filter((id) => !found.has(id) && !done.has(id))).toEqual([]);
        expect(entries.filter((entry) => 'unreadable' in entry && !entry.unfinished)).toEqual([]);
        looks += 1;
      }
      await ended;
      await recovery;
      expect(looks).toBeGreaterThan(1);
      expect(done.size).toBeGreaterThan(0);
      const left = (await entriesOf(path)).map(idOf);
      expect(new Set([...left, ...done]).size).toBe(200);
      // An append that a seal overtakes is written again, whether or not that recovery still saw the first copy. So what
      // was under way then may come back, and nothing else.
      expect(settledForGood.size).toBeGreaterThan(0);
      expect(left.filter((id) => settledForGood.has(id))).toEqual([]);
      await log.close();
    });
  }, 120_000);
});

describe('looking at the quarantine', () => {
  it('finds records and unreadable lines with their reasons, and damaged lines of its own', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('a')]);
      const sealed = await sealOf(log);
      const reason = 'says "record":{} in its reason';
      for (const place of await placesOf(sealed)) {
        await sealed.quarantine([
          { place, record: added('a', { text: '"record":' }), reason },
          { place, unreadable: '{"half', reason: 'not JSON' },
        ]);
      }
      await sealed.release();
      await log.close();
      await writeFile(`${path}.quarantine.jsonl`, '\n{"half\n\n{"v":1}\n', { flag: 'a' });
      const found = [];
      for await (const entry of readQuarantine(path))
        found.push({ ...entry, record: entry.record && withoutBytes(entry.record) });
      const at = expect.any(Number);
      const bytes = expect.any(Number);
      expect(found).toEqual([
        { at, reason, record: added('a', { text: '"record":' }), unreadable: undefined, bytes },
        { at, reason: 'not JSON', record: undefined, unreadable: '{"half', bytes },
        {
          at: undefined,
          reason: 'this line of the quarantine file is damaged',
          record: undefined,
          unreadable: '{"half',
          bytes,
        },
        {
          at: undefined,
          reason: 'this line of the quarantine file is none of ours',
          record: undefined,
          unreadable: '{"v":1}',
          bytes,
        },
      ]);
    });
  });
});

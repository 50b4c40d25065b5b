import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { encodeRecord } from '../../../src/adapters/file/record-line.js';
import type { SealedContent, SealedEntry } from '../../../src/ports/contingency-log.js';
import { randomFrom, seedFrom } from '../../support/random.js';
import { startAppender, startAppendingForever } from './support/children.js';
import { added, entriesOf, idOf, inFolder } from './support/log-files.js';
import { sizedRecord } from './support/sized-records.js';

const MIB = 1024 ** 2;
const readable = (entries: readonly SealedContent[]) =>
  entries.filter((entry) => 'record' in entry).map(idOf);

describe('several processes on one file', () => {
  it('write large records at the same time without a corrupt line', async () => {
    await inFolder(async (_, path) => {
      const appenders = ['a', 'b', 'c', 'd'].map((name) => startAppender(path, name, 15, MIB, 3));
      const acknowledged = (await Promise.all(appenders.map((appender) => appender.acknowledged))).flat();
      expect(acknowledged).toHaveLength(60);
      const log = fileContingency({ path });
      const entries = await entriesOf(log);
      expect(entries.filter((entry) => 'unreadable' in entry)).toEqual([]);
      expect(entries.map(idOf).sort()).toEqual([...acknowledged].sort());
      await log.close();
    });
  });

  it('lose no acknowledged record, and no order, while another seals in a loop', async () => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      const names = ['a', 'b', 'c'];
      const appenders = names.map((name) => startAppender(path, name, 600, 500));
      const all = Promise.all(appenders.map((appender) => appender.acknowledged));
      let running = true;
      const ended = all.finally(() => {
        running = false;
      });
      ended.catch(() => {});

      const seen = new Set<string>();
      const done = new Set<string>();
      let seals = 0;
      const recoverOnce = async () => {
        const sealed = await log.seal();
        if (typeof sealed !== 'object') return new Promise((resolve) => setImmediate(resolve));
        const entries: SealedEntry[] = [];
        for await (const some of sealed.read()) entries.push(...some);
        for (const entry of entries) seen.add(idOf(entry));
        seals += 1;
        const left = running ? [0, entries.length / 2, entries.length][seals % 3] : 0;
        const settled = entries.slice(left);
        for (const entry of settled) done.add(idOf(entry));
        await sealed.settle(settled.map(({ place }) => place));
        return sealed.release();
      };
      while (running) await recoverOnce();
      const acknowledged = (await ended).flat();
      await recoverOnce();

      expect(acknowledged).toHaveLength(1_800);
      expect(acknowledged.filter((id) => !done.has(id))).toEqual([]);
      expect(seals).toBeGreaterThan(3);
      for (const name of names) {
        const numbers = [...seen].filter((id) => id.startsWith(`${name}-`)).map((id) => Number(id.slice(2)));
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
      expect(await log.seal()).toBe('empty');
      await log.close();
    });
  });

  it('find all that was acknowledged by one that was killed, and go on behind it', async () => {
    await inFolder(async (folder, path) => {
      const log = fileContingency({ path });
      for (let round = 0; round < 4; round += 1) {
        const { child, begun, acknowledged } = startAppender(path, 'k', 1_000, 6 * MIB);
        const changes = watch(folder);
        await begun;
        // Kills at the next sign of a write, which is then likely to be under way.
        await once(changes, 'change');
        child.kill('SIGKILL');
        const heard = await acknowledged;
        changes.close();
        await log.append([added('next')]);
        const found = readable(await entriesOf(log));
        expect(found).toEqual(expect.arrayContaining(heard));
        expect(found.at(-1)).toBe('next');
      }
      await log.close();
    });
  });

  it('have everything that they acknowledged exactly as written, when four of them are killed at random moments', async () => {
    const seed = seedFrom('TEST_SEED');
    console.log(
      `four processes killed at random: seed ${seed} (TEST_SEED=${seed} repeats sizes and moments)`,
    );
    const random = randomFrom(seed);
    await inFolder(async (folder, path) => {
      const appended = async (name: string) => {
        const appender = startAppendingForever(path, name, Math.floor(random() * 2 ** 32));
        const enough = 1 + Math.floor(random() * 12);
        await appender.begun;
        const changes = watch(folder);
        while (appender.heard().length < enough) await once(changes, 'change');
        // At a sign of a write, of this process or of another one, or at any time after it.
        for (let left = Math.floor(random() * 10); left > 0; left -= 1) await once(changes, 'change');
        changes.close();
        appender.child.kill('SIGKILL');
        return appender.acknowledged;
      };
      const rounds = async (name: string) => {
        const heard: string[] = [];
        for (let round = 0; round < 2; round += 1) heard.push(...(await appended(`${name}${round}`)));
        return heard;
      };
      const heard = (await Promise.all(['a', 'b', 'c', 'd'].map(rounds))).flat();
      const log = fileContingency({ path });
      const entries = await entriesOf(log);
      const found = readable(entries);
      expect(new Set(found)).toEqual(new Set([...heard, ...found]));
      const wrong = entries.filter(
        (entry) => 'record' in entry && !isDeepStrictEqual(entry.record, sizedRecord(idOf(entry))),
      );
      expect(wrong.map(idOf)).toEqual([]);
      for (const name of new Set(found.map((id) => id.split('-')[0]))) {
        const numbers = found.filter((id) => id.startsWith(`${name}-`)).map((id) => Number(id.split('-')[1]));
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
      console.log(
        `acknowledged ${heard.length}, found ${found.length}, torn ${entries.length - found.length} of 8 processes`,
      );
      await log.close();
    });
  });

  it('keep apart the half of a large record that one left when it was killed', async () => {
    await inFolder(async (_, path) => {
      const line = encodeRecord(added('torn', { text: 'x'.repeat(MIB) }));
      const script = `
        const half = Buffer.from(${JSON.stringify(line.subarray(0, 700_000).toString())});
        const fd = require('node:fs').openSync(${JSON.stringify(path)}, 'a');
        if (require('node:fs').writeSync(fd, half) !== half.length) process.exit(1);
        process.stdout.write('half');
        setInterval(() => {}, 60_000);`;
      const child = spawn(process.execPath, ['-'], { stdio: ['pipe', 'pipe', 'inherit'] });
      child.stdin.end(script);
      await once(child.stdout, 'data');
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      expect((await stat(path)).size).toBe(700_000);
      const log = fileContingency({ path });
      await log.append([added('good')]);
      const entries = await entriesOf(log);
      expect(entries).toEqual([
        { unreadable: line.subarray(1, 700_000).toString(), reason: 'not JSON' },
        { record: added('good') },
      ]);
      await log.close();
    });
  });

  it('can end without closing the log or ending the recovery', async () => {
    await inFolder(async (_, path) => {
      const script = join(import.meta.dirname, 'support', 'seal-and-leave.ts');
      const child = spawn(process.execPath, ['--import', 'tsx', script, path], { stdio: 'inherit' });
      expect(await once(child, 'exit')).toEqual([0, null]);
      const log = fileContingency({ path });
      expect((await entriesOf(log)).map(idOf)).toEqual(['0', '1']);
      await log.close();
    });
  });
});

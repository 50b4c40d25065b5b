import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, type TestContext } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import type { ContingencyLog } from '../../../src/ports/contingency-log.js';
import { inject } from '../../support/injecting.js';
import { added, entriesOf, idOf, inFolder, placesOf, sealOf } from './support/log-files.js';

const run = promisify(execFile);

/** Runs the work on a disk of 1 MiB of its own. */
async function onSmallDisk(context: TestContext, work: (disk: string) => Promise<void>): Promise<void> {
  await inFolder(async (disk) => {
    const mount = ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk];
    await inject(context, 'mount a disk', () => run('mount', mount));
    try {
      await work(disk);
    } finally {
      // Lazily: a test that failed may have left a file open.
      await run('umount', ['-l', disk]);
    }
  });
}

async function fill(
  log: ContingencyLog,
  recordsPerAppend: number,
): Promise<{ accepted: string[]; refused: string; error: unknown }> {
  const accepted: string[] = [];
  for (let i = 0; ; i += 1) {
    const ids = Array.from({ length: recordsPerAppend }, (_, part) => `${i}-${part}`);
    try {
      await log.append(ids.map((id) => added(id, { text: 'x'.repeat(30_000) })));
      accepted.push(...ids);
    } catch (error) {
      return { accepted, refused: `${i}-`, error };
    }
  }
}

const readable = async (log: ContingencyLog) =>
  (await entriesOf(log)).filter((entry) => 'record' in entry).map(idOf);

describe('a full disk', () => {
  for (const records of [1, 7]) {
    it(`takes or rejects appends of ${records} as a whole, keeps the others, and goes on when there is room`, async (context) => {
      await onSmallDisk(context, async (disk) => {
        const path = join(disk, 'log.jsonl');
        await writeFile(join(disk, 'filler'), Buffer.alloc(300_000));
        const log = fileContingency({ path });
        const { accepted, refused, error } = await fill(log, records);
        expect(error).toMatchObject({
          code: 'CONTINGENCY_FAILED',
          message: `cannot append to ${path}: ENOSPC`,
        });
        await expect(log.ping()).rejects.toMatchObject({ message: expect.stringMatching(/ENOSPC/) });
        expect(accepted.length).toBeGreaterThan(0);
        await rm(join(disk, 'filler'));
        await log.ping();
        await log.append([added('after')]);
        const found = await readable(log);
        expect(found).toEqual([...accepted, 'after']);
        expect(found.filter((id) => id.startsWith(refused))).toEqual([]);
        await log.close();
      });
    });
  }

  it('can be emptied by a recovery, although what is done cannot be written down', async (context) => {
    await onSmallDisk(context, async (disk) => {
      const log = fileContingency({ path: join(disk, 'log.jsonl') });
      await fill(log, 1);
      await writeFile(join(disk, 'rest'), Buffer.alloc(1_000_000)).catch(() => {});
      for (const from of [0, 1]) {
        const sealed = await sealOf(log);
        const places = (await placesOf(sealed)).slice(0, from === 0 ? -2 : undefined);
        await expect(sealed.settle(places)).rejects.toMatchObject({
          code: 'CONTINGENCY_FAILED',
          message: expect.stringMatching(/ENOSPC/),
        });
        expect(await placesOf(sealed)).toHaveLength(from === 0 ? 2 : 0);
        await sealed.release().catch(() => {});
      }
      expect(await log.seal()).toBe('empty');
      await log.append([added('after')]);
      expect(await readable(log)).toEqual(['after']);
      await log.close();
    });
  });

  it('keeps the sealed part when what is to be quarantined does not fit', async (context) => {
    await onSmallDisk(context, async (disk) => {
      const log = fileContingency({ path: join(disk, 'log.jsonl') });
      const { accepted } = await fill(log, 1);
      const sealed = await sealOf(log);
      const places = await placesOf(sealed);
      const quarantine = accepted.map((id, i) => ({
        place: places[i] ?? -1,
        record: added(id, { text: 'x'.repeat(30_000) }),
        reason: 'unknown',
      }));
      await expect(sealed.quarantine(quarantine)).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        message: expect.stringMatching(/quarantine\.jsonl: ENOSPC/),
      });
      await sealed.release();
      const again = await sealOf(log);
      expect(await placesOf(again)).toEqual(places);
      await again.release();
      await log.close();
    });
  });
});

describe('a read-only disk', () => {
  it('is named in every refusal, and the log goes on when it can be written again', async (context) => {
    await onSmallDisk(context, async (disk) => {
      const path = join(disk, 'log.jsonl');
      const first = fileContingency({ path });
      await first.append([added('0')]);
      await first.close();
      await run('mount', ['-o', 'remount,ro', disk]);
      const log = fileContingency({ path });
      const refused = { code: 'CONTINGENCY_FAILED', message: expect.stringMatching(/log\.jsonl: EROFS$/) };
      await expect(log.append([added('1')])).rejects.toMatchObject(refused);
      await expect(log.ping()).rejects.toMatchObject(refused);
      await expect(log.seal()).rejects.toMatchObject(refused);
      expect(await log.backlog()).toMatchObject({ records: 1 });
      await run('mount', ['-o', 'remount,rw', disk]);
      await log.append([added('2')]);
      expect(await readable(log)).toEqual(['0', '2']);
      await log.close();
    });
  });
});

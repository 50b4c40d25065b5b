import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contingencyOn } from '../../../src/adapters/file/file-contingency.js';
import { type FileContingencyOptions, fileContingency } from '../../../src/adapters/file/index.js';
import { randomFrom, seedFrom } from '../../support/random.js';
import { added, entriesOf, idOf, inFolder, sealOf } from './support/log-files.js';
import { volatileDisk } from './support/volatile-disk.js';

const SEED = seedFrom('TEST_SEED');

interface Outcome {
  /** In the order of their acknowledgement. */
  readonly acknowledged: readonly string[];
  /** Those of them that were acknowledged before the last sync that ended began. */
  readonly acknowledgedBeforeSync: readonly string[];
  readonly found: readonly string[];
}

/** Appends at random, with recoveries that come to nothing in between, until the power fails. */
async function cutPower(
  folder: string,
  options: FileContingencyOptions,
  random: () => number,
): Promise<Outcome> {
  await mkdir(folder);
  const path = join(folder, 'log.jsonl');
  const disk = volatileDisk(1 + Math.floor(random() * 40), random);
  const log = contingencyOn({ path, ...options }, disk.openFile);
  const acknowledged: string[] = [];
  let acknowledgedBeforeSync: string[] = [];
  let syncing: string[] = [];
  disk.onSync = () => {
    // The sync before has ended: there is one at a time.
    acknowledgedBeforeSync = syncing;
    syncing = [...acknowledged];
  };
  let on = true;
  disk.powerFailed.then(() => {
    on = false;
  });
  let number = 0;
  const append = async () => {
    const ids = Array.from({ length: 1 + Math.floor(random() * 3) }, () => `e-${number++}`);
    const text = 'x'.repeat(Math.floor(random() * 2_000));
    await Promise.race([
      log.append(ids.map((id) => added(id, { text }))).then(() => on && acknowledged.push(...ids)),
      disk.powerFailed,
    ]);
  };
  while (on) {
    await Promise.all(Array.from({ length: 1 + Math.floor(random() * 4) }, append));
    if (on && random() < 0.2) {
      await Promise.race([sealOf(log).then((sealed) => sealed.release()), disk.powerFailed]);
    }
  }
  await disk.restart(folder, `${folder}-later`);
  const again = fileContingency({ path: join(`${folder}-later`, 'log.jsonl') });
  const entries = await entriesOf(again);
  await again.close();
  return {
    acknowledged,
    acknowledgedBeforeSync,
    found: entries.filter((entry) => 'record' in entry).map(idOf),
  };
}

async function cutPowerOften(times: number, options: FileContingencyOptions): Promise<readonly Outcome[]> {
  const random = randomFrom(SEED);
  const outcomes: Outcome[] = [];
  await inFolder(async (folder) => {
    for (let i = 0; i < times; i += 1) outcomes.push(await cutPower(join(folder, `${i}`), options, random));
  });
  const acknowledged = outcomes.reduce((sum, outcome) => sum + outcome.acknowledged.length, 0);
  const lost = outcomes.reduce((sum, outcome) => sum + lostOf(outcome).length, 0);
  console.log(
    `fsync '${options.fsync}': ${times} power cuts, seed ${SEED} (TEST_SEED), acknowledged ${acknowledged}, lost ${lost}`,
  );
  return outcomes;
}

const lostOf = ({ acknowledged, found }: Outcome) => {
  const there = new Set(found);
  return acknowledged.filter((id) => !there.has(id));
};

describe('when the power fails', () => {
  it("with fsync 'always' nothing acknowledged is lost, and the order holds", async () => {
    for (const outcome of await cutPowerOften(60, { fsync: 'always' })) {
      expect(lostOf(outcome)).toEqual([]);
      const { acknowledged, found } = outcome;
      const known = new Set(acknowledged);
      expect([...new Set(found)].filter((id) => known.has(id))).toEqual(acknowledged);
    }
  });

  it("with fsync 'interval' nothing is lost that was acknowledged before the last sync", async () => {
    const outcomes = await cutPowerOften(60, { fsync: 'interval', fsyncIntervalMs: 3 });
    for (const outcome of outcomes) {
      const early = new Set(outcome.acknowledgedBeforeSync);
      expect(lostOf(outcome).filter((id) => early.has(id))).toEqual([]);
    }
    expect(outcomes.flatMap(({ acknowledgedBeforeSync }) => acknowledgedBeforeSync).length).toBeGreaterThan(
      0,
    );
  });

  it("with fsync 'never' some of it is: the power cut of these tests bites", async () => {
    const outcomes = await cutPowerOften(10, { fsync: 'never' });
    expect(outcomes.flatMap(lostOf).length).toBeGreaterThan(0);
  });
});

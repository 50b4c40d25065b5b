import { type ContingencyLog, memoryContingency } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openLogSnapshot } from '../../src/adapters/file/log-reader.js';
import { readQuarantine } from '../../src/adapters/file/quarantine-reader.js';
import { withoutBytes } from '../../src/contingency/without-bytes.js';
import type { ContingencyRecord, SealedEntry, SealedRecords } from '../../src/ports/contingency-log.js';
import { added, idOf, inFolder } from '../adapters/file/support/log-files.js';
import { seedFrom } from '../support/random.js';

const SEED = seedFrom('MODEL_SEED');

/** `some`: of the entries that are there, those at these positions, counted round and round. */
const some = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 20, size: 'max' });
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      name: fc.constant('append' as const),
      // Pages of the reader, in the large.
      texts: fc.array(fc.constantFrom(1, 1, 1_000, 70_000), { maxLength: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ name: fc.constant('seal' as const) }) },
  { weight: 3, arbitrary: fc.record({ name: fc.constant('settle' as const), some }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('settle all' as const) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('quarantine' as const), some }) },
  {
    weight: 2,
    arbitrary: fc.record({
      name: fc.constant('fetch' as const),
      some,
      maxBytes: fc.constantFrom(1, 100_000, 10_000_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ name: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('reopen' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A log, and the part of it that is sealed. */
interface Side {
  log: ContingencyLog;
  sealed: SealedRecords | undefined;
}

async function entriesOf({ sealed }: Side): Promise<SealedEntry[]> {
  const all: SealedEntry[] = [];
  for await (const entries of sealed?.read() ?? []) all.push(...entries);
  return all;
}

/** Does it on one side, and returns what can be told of it. */
async function act(side: Side, one: Step, records: readonly ContingencyRecord[]): Promise<unknown> {
  const all = await entriesOf(side);
  const chosen = (positions: readonly number[]) =>
    [...new Set(positions.map((n) => n % all.length))].flatMap((n) => all[n] ?? []);
  const places = (entries: readonly SealedEntry[]) => entries.map(({ place }) => place);
  switch (one.name) {
    case 'append':
      return side.log.append(records);
    case 'seal': {
      const sealed = await side.log.seal();
      if (typeof sealed === 'string') return sealed;
      side.sealed = sealed;
      return (await entriesOf(side)).map(idOf);
    }
    case 'settle':
      return side.sealed?.settle(places(chosen(one.some)));
    case 'settle all':
      return side.sealed?.settle(places(all));
    case 'quarantine':
      return side.sealed?.quarantine(chosen(one.some).map((entry) => ({ ...entry, reason: 'a test' })));
    case 'fetch': {
      const wanted = chosen(one.some);
      if (side.sealed === undefined || wanted.length === 0) return undefined;
      const found = await side.sealed.fetch(places(wanted), one.maxBytes);
      return found.map((record) => withoutBytes(record));
    }
    case 'release':
    case 'reopen':
      await side.sealed?.release();
      side.sealed = undefined;
  }
}

async function seenIn(path: string): Promise<string[]> {
  const snapshot = await openLogSnapshot(path);
  const ids: string[] = [];
  for await (const entry of snapshot.read()) ids.push(idOf(entry));
  await snapshot.close();
  return ids;
}

test('a file behaves as memory does, and whoever looks at it sees what a recovery would read', async () => {
  console.log(`log of a file against one in memory: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  const steps = fc.array(step, { minLength: 3, maxLength: 20, size: 'max' });
  const property = fc.asyncProperty(steps, (all) =>
    inFolder(async (_, path) => {
      const memory = memoryContingency();
      const open = () => fileContingency({ path, fsync: 'never' });
      const [model, file]: [Side, Side] = [
        { log: memory, sealed: undefined },
        { log: open(), sealed: undefined },
      ];
      let n = 0;
      for (const one of all) {
        const records =
          one.name === 'append'
            ? one.texts.map((length) => added(`e-${++n}`, { at: n, text: 'x'.repeat(length) }))
            : [];
        expect(await act(file, one, records)).toEqual(await act(model, one, records));
        if (one.name === 'reopen') {
          await file.log.close();
          file.log = open();
        }
        const ids = memory.records.map((record) => idOf({ record }));
        expect(await seenIn(path)).toEqual(ids);
        const other = open();
        for (const log of [file.log, other])
          expect(await log.backlog()).toMatchObject({ records: ids.length });
        await other.close();
      }
      for (const name of ['release', 'seal', 'settle all', 'release'] as const) await act(file, { name }, []);
      expect(await file.log.backlog()).toEqual({ records: 0, bytes: 0, oldestAt: undefined });
      const quarantined: unknown[] = [];
      for await (const { record } of readQuarantine(path)) quarantined.push(record && withoutBytes(record));
      expect(quarantined).toEqual(memory.quarantined.map((entry) => 'record' in entry && entry.record));
      await file.log.close();
    }),
  );
  await fc.assert(property, { numRuns: 60, seed: SEED });
});

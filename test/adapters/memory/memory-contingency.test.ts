import { describe, expect, it } from 'vitest';
import { memoryContingency } from '../../../src/adapters/memory/memory-contingency.js';
import type {
  ContingencyLog,
  ContingencyRecord,
  SealedEntry,
  SealedRecords,
} from '../../../src/ports/contingency-log.js';
import { type ContingencyLogUnderTest, contingencyLogCases } from '../../../src/testing/contingency-cases.js';

const subject = (log = memoryContingency()): ContingencyLogUnderTest => ({
  log,
  quarantined: async () => log.quarantined,
});

describe('memoryContingency keeps the rules of the port', () => {
  const cases = contingencyLogCases(async () => subject(), {
    makeBounded: async (maxBytes) => subject(memoryContingency({ maxBytes })),
  });
  for (const { name, run } of cases) it(name, run);
});

describe('memoryContingency', () => {
  const record: ContingencyRecord = { kind: 'session.rollback_requested', sessionId: 's-1', at: 1 };

  it('shows what waits and what was quarantined', async () => {
    const log = memoryContingency();
    await log.append([record, { ...record, at: 2 }]);
    expect(log.records.map(({ at }) => at)).toEqual([1, 2]);
    const sealed = await log.seal();
    if (typeof sealed !== 'object') throw new Error(sealed);
    await log.append([{ ...record, at: 3 }]);
    expect(log.records.map(({ at }) => at)).toEqual([1, 2, 3]);
    for await (const [first] of sealed.read())
      if (first) await sealed.quarantine([{ place: first.place, record, reason: 'unknown' }]);
    expect(log.records.map(({ at }) => at)).toEqual([2, 3]);
    expect(log.quarantined).toEqual([{ record, reason: 'unknown' }]);
  });

  it.each([[{ maxBytes: 0 }], [{ maxBytes: 1.5 }], [{ maxByte: 5 }]])('refuses %j', (options) => {
    expect(() => memoryContingency(options as object)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(/maxByte/) }),
    );
  });
});

/** Each breaks one rule. The suite is worth something only if it finds every one of them. */
const BROKEN: Readonly<Record<string, (log: ContingencyLog) => ContingencyLog>> = {
  'loses the order': (log) => onSealed(log, (sealed) => ({ ...sealed, read: () => reversed(sealed) })),
  'forgets on release': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      release: async () => {
        for await (const some of sealed.read()) await sealed.settle(some.map(({ place }) => place));
        await sealed.release();
      },
    })),
  'settles more than it was told': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      settle: (places) => sealed.settle(places.flatMap((place) => [place, place + 1])),
    })),
  'drops the quarantine': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      quarantine: (entries) => sealed.settle(entries.map(({ place }) => place)),
    })),
  'lets what is quarantined come back': (log) =>
    onSealed(log, (sealed) => ({ ...sealed, quarantine: async () => {} })),
  'settles nothing': (log) => onSealed(log, (sealed) => ({ ...sealed, settle: async () => {} })),
  'settles only at the end': (log) =>
    onSealed(log, (sealed) => {
      const settled: number[] = [];
      return {
        ...sealed,
        settle: async (places) => {
          settled.push(...places);
        },
        release: async () => {
          await sealed.settle(settled).catch(() => {});
          await sealed.release();
        },
      };
    }),
  'fetches in its own order': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      fetch: (places, maxBytes) =>
        sealed.fetch(
          [...places].sort((a, b) => a - b),
          maxBytes,
        ),
    })),
  'fetches without a bound': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      fetch: (places) => sealed.fetch(places, Number.MAX_SAFE_INTEGER),
    })),
  'can be used after its release': (log) =>
    onSealed(log, (sealed) => ({ ...sealed, fetch: async () => [], settle: async () => {} })),
  'reads only once': (log) =>
    onSealed(log, (sealed) => {
      const entries = sealed.read();
      return { ...sealed, read: () => entries };
    }),
  'acknowledges before it has it': (log) => ({
    ...log,
    append: async (records) => {
      setTimeout(() => log.append(records).catch(() => {}), 20);
    },
  }),
  'takes half of an append': (log) => ({ ...log, append: (records) => log.append(records.slice(0, 1)) }),
  'changes texts': (log) => ({
    ...log,
    append: (records) =>
      log.append(
        records.map((record) =>
          'event' in record ? { ...record, event: JSON.stringify(JSON.parse(record.event)) } : record,
        ),
      ),
  }),
  'lets two recoveries in': (log) => ({
    ...log,
    seal: async () => {
      const sealed = await log.seal();
      return sealed === 'busy'
        ? {
            async *read() {},
            fetch: async () => [],
            async settle() {},
            async quarantine() {},
            async release() {},
          }
        : sealed;
    },
  }),
  'goes on after close': (log) => ({ ...log, close: async () => {} }),
};

/** A rule that each of them must be found to break. */
const BROKEN_RULES: Readonly<Record<keyof typeof BROKEN, RegExp>> = {
  'loses the order': /^records come back in the order/,
  'forgets on release': /^release gives everything back, in front/,
  'settles more than it was told': /^what is not settled stays/,
  'drops the quarantine': /^quarantined entries/,
  'lets what is quarantined come back': /^quarantined entries/,
  'settles nothing': /^what is settled is forgotten/,
  'settles only at the end': /^what is settled is no longer read/,
  'fetches in its own order': /^fetch answers the records at places/,
  'fetches without a bound': /^fetch answers at most so many bytes/,
  'can be used after its release': /^a released part/,
  'reads only once': /^a sealed part can be read again/,
  'acknowledges before it has it': /^records come back in the order/,
  'takes half of an append': /^records of concurrent appends are all there/,
  'changes texts': /^every kind of record comes back/,
  'lets two recoveries in': /^one recovery at a time/,
  'goes on after close': /^after close/,
};

describe('the suite rejects a log that', () => {
  it.each(Object.entries(BROKEN))('%s', async (name, spoil) => {
    const cases = contingencyLogCases(async () => {
      const log = memoryContingency();
      return { log: spoil(log), quarantined: async () => log.quarantined };
    });
    const results = await Promise.allSettled(cases.map(({ run }) => run()));
    const failed = cases.filter((_, i) => results[i]?.status === 'rejected').map((failing) => failing.name);
    expect(failed).toContainEqual(expect.stringMatching(BROKEN_RULES[name] ?? /^$/));
    expect(failed.length).toBeLessThan(cases.length);
  });

  it('has no bound', async () => {
    const cases = contingencyLogCases(async () => subject(), { makeBounded: async () => subject() });
    const results = await Promise.allSettled(cases.map(({ run }) => run()));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(2);
  });
});

function onSealed(log: ContingencyLog, spoil: (sealed: SealedRecords) => SealedRecords): ContingencyLog {
  return {
    ...log,
    async seal() {
      const sealed = await log.seal();
      return typeof sealed === 'object' ? spoil(sealed) : sealed;
    },
  };
}

async function* reversed(sealed: SealedRecords) {
  const entries: SealedEntry[] = [];
  for await (const some of sealed.read()) entries.push(...some);
  yield entries.reverse();
}

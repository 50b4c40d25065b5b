import { describe, expect, it } from 'vitest';
import { memoryContingency } from '../../../src/adapters/memory/memory-contingency.js';
import type { ContingencyLog, ContingencyRecord, SealedRecords } from '../../../src/ports/contingency-log.js';
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
    await log.append([{ ...record, at: 3 }]);
    expect(log.records.map(({ at }) => at)).toEqual([1, 2, 3]);
    await sealed?.finish({ keep: [{ ...record, at: 2 }], quarantine: [{ record, reason: 'unknown' }] });
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
    onSealed(log, (sealed) => ({ ...sealed, release: () => sealed.finish({ keep: [], quarantine: [] }) })),
  'drops keep': (log) =>
    onSealed(log, (sealed) => ({
      ...sealed,
      finish: ({ quarantine }) => sealed.finish({ keep: [], quarantine }),
    })),
  'drops the quarantine': (log) =>
    onSealed(log, (sealed) => ({ ...sealed, finish: ({ keep }) => sealed.finish({ keep, quarantine: [] }) })),
  'forgets nothing on finish': (log) =>
    onSealed(log, (sealed) => ({ ...sealed, finish: () => sealed.release() })),
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
    seal: async () => (await log.seal()) ?? { async *read() {}, async finish() {}, async release() {} },
  }),
  'goes on after close': (log) => ({ ...log, close: async () => {} }),
};

/** A rule that each of them must be found to break. */
const BROKEN_RULES: Readonly<Record<keyof typeof BROKEN, RegExp>> = {
  'loses the order': /^records come back in the order/,
  'forgets on release': /^release gives everything back, in front/,
  'drops keep': /^finish keeps what is to be kept/,
  'drops the quarantine': /^quarantined entries/,
  'forgets nothing on finish': /^finish forgets the part/,
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
      return sealed && spoil(sealed);
    },
  };
}

async function* reversed(sealed: SealedRecords) {
  const entries = [];
  for await (const entry of sealed.read()) entries.push(entry);
  yield* entries.reverse();
}

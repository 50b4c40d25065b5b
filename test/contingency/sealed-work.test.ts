import { expect, test } from 'vitest';
import { sealedWork } from '../../src/contingency/sealed-work.js';
import { createDomainEvents } from '../../src/core/domain-events.js';
import type { SealedRecords } from '../../src/ports/contingency-log.js';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const from = (first: number) => Array.from({ length: 500 }, (_, i) => first + i);

test('what is settled and quarantined from several sides goes into the log in turn, and all of it before the end', async () => {
  const happened: string[] = [];
  const slowly = async (what: string) => {
    happened.push(`${what} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    happened.push(`${what} ends`);
  };
  const sealed: SealedRecords = {
    async *read() {},
    fetch: async () => [],
    settle: (places) => slowly(`settle ${places.length}`),
    quarantine: (entries) => slowly(`quarantine ${entries.length}`),
    release: async () => void happened.push('release'),
  };
  const events = createDomainEvents('i-1', silent);
  const none = () => {};
  const work = sealedWork({ sealed, events, logger: silent, onQuarantined: none, onProgress: none });
  work.found(2_002);
  await Promise.all([
    work.settle(from(0)),
    work.settle(from(500)),
    work.quarantine([{ unreadable: 'x', reason: 'y', place: 2_000 }]),
    work.settle(from(1_000)),
    work.settle([2_001]),
  ]);
  await work.end();
  const whats = ['settle 500', 'settle 500', 'quarantine 1', 'settle 500', 'settle 1'];
  expect(happened).toEqual([...whats.flatMap((what) => [`${what} begins`, `${what} ends`]), 'release']);
  expect([work.records, work.done]).toEqual([2_002, 1_502]);
});

import {
  EventSessionsError,
  type EventSessionsOptions,
  type MemoryContingency,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type SealedRecords,
} from 'event-sessions';
import { describe, expect, test } from 'vitest';
import type { ContingencyLog, ContingencyRecord } from '../../src/ports/contingency-log.js';
import { faultyStore } from '../support/faulty-store.js';
import { openSessions } from '../support/open-sessions.js';

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const typed = (data: number) => ({ type: 'a', data });

function instanceOn(options: EventSessionsOptions) {
  return openSessions({ recovery: false, logger: false, commit: { retries: 0 }, ...options });
}

/** A log in which so many events of one committed session are owed to the broker. */
async function owedLog(store: ReturnType<typeof memoryStore>, events: number): Promise<MemoryContingency> {
  const log = memoryContingency();
  const publisher = memoryPublisher({
    onPublish: () => {
      throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
    },
  });
  const sessions = instanceOn({ store, publisher, contingency: log });
  const session = await sessions.startSession();
  await session.addMany(numbers(events).map(typed));
  expect(await session.commit()).toMatchObject({ status: 'committed', deferred: events });
  return log;
}

/** A log with so many adds to one session that the store could not take. */
async function addedLog(store: ReturnType<typeof memoryStore>, events: number): Promise<MemoryContingency> {
  const log = memoryContingency();
  const away = faultyStore(store);
  const session = await instanceOn({ store: away, contingency: log }).startSession();
  away.fault = 'down';
  expect(await session.addMany(numbers(events).map(typed))).toMatchObject({ deferred: true });
  return log;
}

function owed(sessionId: string, sequence: number, data: unknown = null): ContingencyRecord {
  const event = JSON.stringify({ specversion: '1.0', id: `e-${sequence}`, sessionid: sessionId, data });
  return { kind: 'event.unpublished', sessionId, at: 1, topic: 't', sequence, event };
}

async function beginCommit(store: ReturnType<typeof memoryStore>, sessionId: string) {
  const attempt = { attemptId: 'dead', leaseMs: 60_000, cause: { instance: 'dead' } };
  const begun = await store.beginCommit(sessionId, attempt);
  if (begun.outcome !== 'granted') throw new Error(begun.outcome);
  return begun;
}

function onSealed(log: ContingencyLog, change: (sealed: SealedRecords) => SealedRecords): ContingencyLog {
  return {
    ...log,
    seal: async () => {
      const sealed = await log.seal();
      return typeof sealed === 'object' ? change(sealed) : sealed;
    },
  };
}

describe('G3: a pass that dies', () => {
  test('has published again no more than what it had not yet marked', async () => {
    const store = memoryStore();
    const log = await owedLog(store, 2_300);
    const publisher = memoryPublisher();
    let marks = 0;
    const dying = onSealed(log, (sealed) => ({
      ...sealed,
      settle: async (places) => {
        marks += 1;
        if (marks > 2) await new Promise(() => {});
        await sealed.settle(places);
      },
    }));
    void instanceOn({ store, publisher, contingency: dying }).recover();
    await expect.poll(() => publisher.published.length).toBe(2_000);

    const next = memoryContingency();
    await next.append(log.records);
    const report = await instanceOn({ store, publisher, contingency: next }).recover();
    expect(report).toMatchObject({ published: 1_300, remaining: 0, complete: true });
    const data = publisher.published.map(({ event }) => event.data);
    expect([...new Set(data)]).toEqual(numbers(2_300));
    expect(data).toHaveLength(2_300 + 1_000);
  });

  test('lets go of its log only when nothing of it is being read any more', async () => {
    const store = memoryStore();
    const log = await addedLog(store, 1_200);
    let asked = 0;
    let reading = 0;
    const readingAtRelease: number[] = [];
    const slow = onSealed(log, (sealed) => ({
      ...sealed,
      async fetch(places, maxBytes) {
        reading += 1;
        await new Promise((resolve) => setImmediate(resolve));
        asked += 1;
        const found = await sealed.fetch(places, maxBytes);
        reading -= 1;
        return found;
      },
      async release() {
        readingAtRelease.push(reading);
        await sealed.release();
      },
    }));
    const away = faultyStore(store);
    away.fault = 'down';
    const report = await instanceOn({ store: away, contingency: slow }).recover();
    expect(report).toMatchObject({ events: 0, remaining: 1_200, complete: false });
    expect(asked).toBe(2);
    expect(readingAtRelease).toEqual([0]);
  });

  test('lets go of its log only when nothing of it is being published any more', async () => {
    const store = memoryStore();
    const log = await owedLog(store, 1_200);
    const happened: string[] = [];
    const broken = onSealed(log, (sealed) => ({
      ...sealed,
      async *read() {
        for await (const entries of sealed.read()) yield entries.slice(0, 501);
        throw new EventSessionsError('CONTINGENCY_FAILED', 'the disk is broken');
      },
      async settle(places) {
        happened.push(`${places.length} settled`);
        await sealed.settle(places);
      },
      async release() {
        happened.push('released');
        await sealed.release();
      },
    }));
    const publisher = memoryPublisher({
      onPublish: () => new Promise((resolve) => setImmediate(resolve)),
    });
    const sessions = instanceOn({ store, publisher, contingency: broken });
    const told: unknown[] = [];
    sessions.on('contingency.recovered', (report) => told.push(report));
    await expect(sessions.recover()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    expect(happened).toEqual(['500 settled', 'released']);
    expect(told).toMatchObject([{ records: 500, published: 500 }]);
    expect(log.records).toHaveLength(700);
  });

  test('works chunk by chunk on what the store takes, in memory bounded by a chunk', async () => {
    const store = memoryStore();
    const log = await addedLog(store, 1_200);
    const asked: number[] = [];
    const watched = onSealed(log, (sealed) => ({
      ...sealed,
      fetch: (places, maxBytes) => {
        asked.push(places.length);
        expect(maxBytes).toBeLessThanOrEqual(4 * 1_048_576);
        return sealed.fetch(places, maxBytes);
      },
    }));
    await instanceOn({ store, contingency: watched }).recover();
    expect(asked).toEqual([500, 500, 200]);
  });
});

describe('what the broker is owed', () => {
  test('is published while the log is read, chunk by chunk, one at a time', async () => {
    const store = memoryStore();
    const log = await owedLog(store, 1_200);
    const batches: number[] = [];
    const publisher = memoryPublisher({ onPublish: ({ events }) => void batches.push(events.length) });
    const publishedAtEntry: number[] = [];
    const slow = onSealed(log, (sealed) => ({
      ...sealed,
      async *read() {
        for await (const entries of sealed.read()) {
          for (const entry of entries) {
            if (entry.place % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
            publishedAtEntry.push(publisher.published.length);
            yield [entry];
          }
        }
      },
    }));
    const seen: { records: number; remaining: number; published: number }[] = [];
    const onProgress = (progress: (typeof seen)[number]) => seen.push(progress);
    await instanceOn({ store, publisher, contingency: slow }).recover({ onProgress });
    expect(batches).toEqual([500, 500, 200]);
    expect(publishedAtEntry[500]).toBe(0);
    expect(publishedAtEntry[1_100]).toBe(1_000);
    expect(publishedAtEntry.every((published, i) => published <= i)).toBe(true);
    expect(seen.map(({ published }) => published)).toEqual([500, 1_000, 1_200, 1_200]);
    for (const { records, remaining, published } of seen) expect(remaining).toBe(records - published);
  });

  test('of several sessions in turn keeps its order in each, and is counted for each', async () => {
    const log = memoryContingency();
    for (let i = 0; i < 30; i += 1) await log.append([owed(`s-${i % 3}`, 1 + Math.floor(i / 3))]);
    const publisher = memoryPublisher();
    const sessions = instanceOn({ store: memoryStore(), publisher, contingency: log });
    const recovered: unknown[] = [];
    sessions.on('contingency.recovered', (report) => recovered.push(report));
    expect(await sessions.recover()).toMatchObject({ sessions: 3, published: 30, complete: true });
    for (const sessionId of ['s-0', 's-1', 's-2']) {
      const own = publisher.published.filter(({ event }) => event.sessionid === sessionId);
      expect(own.map(({ event }) => Number(event.sequence))).toEqual(numbers(10));
      expect(recovered).toContainEqual(expect.objectContaining({ sessionId, records: 10, published: 10 }));
    }
  });

  test('stays when the instance closes while it is read, and all of it is counted', async () => {
    const store = memoryStore();
    const log = await owedLog(store, 2_300);
    const publisher = memoryPublisher({ onPublish: () => void sessions.close() });
    let read = 0;
    const piecemeal = onSealed(log, (sealed) => ({
      ...sealed,
      async *read() {
        for await (const entries of sealed.read()) {
          for (const entry of entries) {
            read += 1;
            yield [entry];
          }
        }
      },
    }));
    const sessions = instanceOn({ store, publisher, contingency: piecemeal });
    const told: unknown[] = [];
    sessions.on('contingency.recovered', (report) => told.push(report));
    const report = await sessions.recover();
    expect(report).toMatchObject({ published: 500, remaining: 1_800, complete: false });
    expect(told).toMatchObject([{ records: 500, published: 500 }]);
    expect(log.records).toHaveLength(1_800);
    expect(read).toBeLessThan(1_500);
  });

  test('is not held in memory by more than some MiB', async () => {
    const log = memoryContingency();
    const note = 'x'.repeat(1_000_000);
    for (const sequence of numbers(7)) await log.append([owed('s-1', sequence, note)]);
    const batches: number[] = [];
    const publisher = memoryPublisher({ onPublish: ({ events }) => void batches.push(events.length) });
    await instanceOn({ store: memoryStore(), publisher, contingency: log }).recover();
    expect(batches).toEqual([5, 2]);
  });

  test('is published once and told, though recorded twice, when the store takes nothing of its session', async () => {
    const store = faultyStore(memoryStore());
    const log = memoryContingency();
    for (const sequence of [1, 2, 1, 2, 3]) await log.append([owed('s-1', sequence)]);
    await log.append([{ ...owed('s-1', 9), kind: 'event.added' } as ContingencyRecord]);
    await log.append([{ ...owed('s-2', 9), kind: 'event.added' } as ContingencyRecord]);
    await log.append([owed('s-2', 1)]);
    const publisher = memoryPublisher();
    const sessions = instanceOn({ store, publisher, contingency: log });
    const recovered: unknown[] = [];
    sessions.on('contingency.recovered', (report) => recovered.push(report));
    store.fault = 'down';
    for (let pass = 0; pass < 3; pass += 1) await sessions.recover();
    expect(publisher.published.map(({ event }) => Number(event.sequence))).toEqual([1, 2, 3, 1]);
    expect(recovered).toMatchObject([
      { sessionId: 's-1', records: 5, published: 3 },
      { sessionId: 's-2', records: 1, published: 1 },
    ]);
    expect(log.records.map(({ kind }) => kind)).toEqual(['event.added', 'event.added']);
  });

  test('is not held by more than some MiB of what it was read with', async () => {
    const log = memoryContingency();
    for (const sequence of numbers(22)) await log.append([owed('s-1', sequence)]);
    const shared = Buffer.alloc(1_048_576);
    const inLargePieces = onSealed(log, (sealed) => ({
      ...sealed,
      async *read() {
        for await (const entries of sealed.read())
          yield entries.map((entry) => {
            if (!('record' in entry) || !('event' in entry.record)) return entry;
            const start = entry.place * 1_000;
            const buffer = entry.place < 10 ? Buffer.alloc(1_048_576) : shared;
            const end = start + buffer.write(entry.record.event, start);
            return { ...entry, record: { ...entry.record, utf8: { buffer, start, end } } };
          });
      },
    }));
    const batches: number[] = [];
    const publisher = memoryPublisher({ onPublish: ({ events }) => void batches.push(events.length) });
    await instanceOn({ store: memoryStore(), publisher, contingency: inLargePieces }).recover();
    expect(batches).toEqual([4, 4, 14]);
  });

  test('stays in the log, and is not counted, when it is refused and the quarantine takes nothing', async () => {
    const log = memoryContingency();
    for (const sequence of [1, 2, 3]) await log.append([owed('s-1', sequence)]);
    const full = onSealed(log, (sealed) => ({
      ...sealed,
      quarantine: () => Promise.reject(new EventSessionsError('CONTINGENCY_FAILED', 'the disk is full')),
    }));
    const publisher = memoryPublisher({
      onPublish: ({ events }) => {
        if (events.some(({ sequence }) => sequence === 2))
          throw new EventSessionsError('PUBLISH_FAILED', 'too large', { outcome: 'refused' });
      },
    });
    const sessions = instanceOn({ store: memoryStore(), publisher, contingency: full });
    const recovered: unknown[] = [];
    sessions.on('contingency.recovered', (report) => recovered.push(report));
    expect(await sessions.recover()).toMatchObject({ published: 2, quarantined: 0, remaining: 1 });
    expect(recovered).toMatchObject([{ records: 2, published: 2 }]);
  });

  test('is left, of all sessions, when the broker has failed once in a pass', async () => {
    const log = memoryContingency();
    for (let i = 0; i < 4; i += 1) await log.append([owed(`s-${i}`, 1)]);
    let calls = 0;
    const publisher = memoryPublisher({
      onPublish: () => {
        calls += 1;
        throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
      },
    });
    const sessions = instanceOn({ store: memoryStore(), publisher, contingency: log });
    expect(await sessions.recover()).toMatchObject({
      sessions: 4,
      published: 0,
      remaining: 4,
      complete: false,
    });
    expect(calls).toBe(1);
  });
});

describe('a session at which the broker fails each time', () => {
  /** The topics that it does not take are changed by the test. */
  function failingAt(...topics: string[]) {
    const failing = new Set(topics);
    const publisher = memoryPublisher({
      onPublish: ({ topic }) => {
        if (failing.has(topic))
          throw new EventSessionsError('PUBLISH_FAILED', 'a full disk', { outcome: 'not_done' });
      },
    });
    const published = () => publisher.published.map(({ topic }) => topic);
    return { publisher, failing, published };
  }

  const owedTo = (topic: string): ContingencyRecord =>
    ({ ...owed(`of-${topic}`, 1), topic }) as ContingencyRecord;

  async function interrupted(store: ReturnType<typeof memoryStore>, topic: string) {
    const sessionId = `of-${topic}`;
    await (await openSessions({ store }).startSession({ sessionId })).add(topic, 1);
    const { epoch } = await beginCommit(store, sessionId);
    await store.releaseCommit(sessionId, epoch);
  }

  test('comes last of those that are owed something, when it has failed once', async () => {
    const log = memoryContingency();
    await log.append(['bad-1', 'bad-2', 'good'].map(owedTo));
    const { publisher, failing, published } = failingAt('bad-1', 'bad-2');
    const sessions = instanceOn({ store: memoryStore(), publisher, contingency: log });
    for (const _ of numbers(3)) expect(await sessions.recover()).toMatchObject({ complete: false });
    expect(published()).toEqual(['good']);
    failing.delete('bad-2');
    for (const _ of numbers(2)) expect(await sessions.recover()).toMatchObject({ complete: false });
    expect(published()).toEqual(['good', 'bad-2']);
    failing.clear();
    expect(await sessions.recover()).toMatchObject({ complete: true, remaining: 0 });
    expect(published()).toEqual(['good', 'bad-2', 'bad-1']);
  });

  test('is published in order when its turn comes', async () => {
    const log = memoryContingency();
    await log.append(numbers(1_200).map((n) => owed('s-1', n, n)));
    let failures = 1;
    const publisher = memoryPublisher({
      onPublish: () => {
        failures -= 1;
        if (failures >= 0) throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
      },
    });
    const sessions = instanceOn({ store: memoryStore(), publisher, contingency: log });
    expect(await sessions.recover()).toMatchObject({ published: 0, remaining: 1_200 });
    expect(await sessions.recover()).toMatchObject({ published: 1_200, remaining: 0, complete: true });
    expect(publisher.published.map(({ event }) => event.data)).toEqual(numbers(1_200));
  });

  test('keeps recovery from no interrupted commit', async () => {
    const store = memoryStore();
    const log = memoryContingency();
    await log.append([owedTo('bad-1')]);
    await interrupted(store, 'bad-2');
    await interrupted(store, 'good');
    const { publisher, published } = failingAt('bad-1', 'bad-2');
    const sessions = instanceOn({ store, publisher, contingency: log });
    for (const _ of numbers(3)) expect(await sessions.recover()).toMatchObject({ complete: false });
    expect(published()).toEqual(['good']);
    expect(await sessions.recover()).toMatchObject({ sessions: 2, complete: false });
  });

  test('nor from late events', async () => {
    const store = memoryStore();
    const log = memoryContingency();
    for (const topic of ['bad', 'good']) {
      const sessionId = `of-${topic}`;
      const session = await openSessions({ store, recovery: false }).startSession({ sessionId });
      await session.commit();
      const event = JSON.stringify({ specversion: '1.0', id: 'late', type: topic, sessionid: sessionId });
      await log.append([{ kind: 'event.added', sessionId, at: 1, topic, event }]);
    }
    const { publisher, published } = failingAt('bad');
    const sessions = instanceOn({ store, publisher, contingency: log });
    for (const _ of numbers(2)) expect(await sessions.recover()).toMatchObject({ complete: false });
    expect(published()).toEqual(['good']);
  });
});

test('an event recorded twice by one append that was repeated is published once', async () => {
  const store = memoryStore();
  const log = await owedLog(store, 3);
  await log.append(log.records);
  const publisher = memoryPublisher();
  expect(await instanceOn({ store, publisher, contingency: log }).recover()).toMatchObject({
    published: 3,
    remaining: 0,
  });
  expect(publisher.published).toHaveLength(3);
});

test('G3: an event that a later attempt has recorded again is published once', async () => {
  const log = memoryContingency();
  const again = { ...owed('s-1', 1), at: 2, outcome: 'unknown' } as ContingencyRecord;
  await log.append([owed('s-1', 1), owed('s-1', 2), again, owed('s-1', 3)]);
  const publisher = memoryPublisher();
  const sessions = instanceOn({ store: memoryStore(), publisher, contingency: log });
  expect(await sessions.recover()).toMatchObject({ published: 3, remaining: 0 });
  expect(publisher.published.map(({ event }) => Number(event.sequence))).toEqual([1, 2, 3]);
});

test('G1: what is owed of a session whose id is used again after its retention is published too', async () => {
  const now = { ms: 1_000_000 };
  const store = memoryStore({ now: () => now.ms });
  let isDown = true;
  const publisher = memoryPublisher({
    onPublish: () => {
      if (isDown) throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
    },
  });
  const log = memoryContingency();
  const sessions = instanceOn({ store, publisher, contingency: log, retention: 60_000 });
  for (const day of ['first', 'second', 'third']) {
    const session = await sessions.startSession({ sessionId: 'daily' });
    // Of the first day less is owed than of the others.
    const events = day === 'first' ? [1] : [1, 2];
    await session.addMany(events.map((n) => ({ type: 'a', data: `${day} ${n}`, id: `e-${n}` })));
    expect(await session.commit()).toMatchObject({ deferred: events.length });
    now.ms += 120_000;
  }
  await log.append(log.records);
  isDown = false;
  expect(await sessions.recover()).toMatchObject({ published: 5, remaining: 0 });
  expect(publisher.published.map(({ event }) => event.data)).toEqual([
    'first 1',
    'second 1',
    'second 2',
    'third 1',
    'third 2',
  ]);
});

test('G3: a late event that the log has twice is published once', async () => {
  const store = memoryStore();
  const log = memoryContingency();
  const publisher = memoryPublisher();
  const down = faultyStore(store);
  const writer = instanceOn({ store: down, contingency: log });
  const sessions = instanceOn({ store, publisher, contingency: log });
  const { id } = await sessions.startSession();
  down.fault = 'down';
  await writer.session(id).add('a', 1);
  await writer.session(id).add('a', 2);
  await log.append(log.records.slice(0, 1));
  await instanceOn({ store }).session(id).commit();

  expect(await sessions.recover()).toMatchObject({ published: 2, remaining: 0, complete: true });
  expect(publisher.published.map(({ event }) => [event.data, event.sequence])).toEqual([
    [1, '0000000001'],
    [2, '0000000002'],
  ]);
  expect(log.records).toEqual([]);
});

test('G4: a start that was recorded behind many adds comes before them', async () => {
  const store = memoryStore();
  const log = memoryContingency();
  const down = faultyStore(store);
  down.fault = 'down';
  const writer = instanceOn({ store: down, contingency: log });
  await writer.session('s-1').addMany(numbers(600).map(typed));
  await writer.startSession({ sessionId: 's-1' });
  await writer.session('s-1').add('a', 601);
  await writer.session('s-1').commit();
  const publisher = memoryPublisher();
  const report = await instanceOn({ store, publisher, contingency: log }).recover();
  expect(report).toMatchObject({ published: 601, remaining: 0, complete: true });
  expect(publisher.published.map(({ event }) => event.data)).toEqual(numbers(601));
});

test('G4: an attempt that takes over behind deferred events does not overtake them', async () => {
  const store = memoryStore();
  const log = memoryContingency();
  const publisher = memoryPublisher();
  const sessions = instanceOn({ store, publisher, contingency: log });
  const { id } = await sessions.startSession();
  await sessions.session(id).addMany(numbers(5).map(typed));
  const { epoch } = await beginCommit(store, id);
  const [first, second] = await store.read(id, { after: 0, limit: 2, maxBytes: 1_000_000 });
  await log.append(
    [first, second].flatMap((event) =>
      event === undefined
        ? []
        : [{ kind: 'event.unpublished', sessionId: id, at: 1, ...event, event: event.json } as const],
    ),
  );
  await store.advance(id, { epoch, cursor: 2, deferred: 2, leaseMs: 1_000 });
  await store.releaseCommit(id, epoch);

  expect(await sessions.session(id).commit()).toMatchObject({
    status: 'committed',
    published: 0,
    deferred: 5,
  });
  expect(publisher.published).toEqual([]);
  await sessions.recover();
  expect(publisher.published.map(({ event }) => event.data)).toEqual(numbers(5));
});

test('what may have been published before is counted', async () => {
  const store = memoryStore();
  const log = memoryContingency();
  let outcome: 'unknown' | 'not_done' | undefined = 'unknown';
  const publisher = memoryPublisher({
    onPublish: () => {
      if (outcome !== undefined) throw new EventSessionsError('PUBLISH_FAILED', 'cut off', { outcome });
    },
  });
  const sessions = instanceOn({ store, publisher, contingency: log });
  for (const next of ['unknown', 'not_done'] as const) {
    outcome = next;
    await sessions.transaction((session) => session.addMany([1, 2].map(typed)));
  }
  outcome = undefined;
  expect(await sessions.recover()).toMatchObject({ published: 4, duplicatesPossible: 2 });
});

test('the batches that a dead attempt had in flight are counted as possible duplicates', async () => {
  const now = { ms: 1_000_000 };
  const store = memoryStore({ now: () => now.ms });
  const sessions = instanceOn({ store, commit: { batchEvents: 2, inFlight: 2, retries: 0 } });
  const session = await sessions.startSession();
  await session.addMany(numbers(9).map(typed));
  await store.beginCommit(session.id, { attemptId: 'dead', leaseMs: 1_000, cause: { instance: 'dead' } });
  await store.advance(session.id, { epoch: 1, cursor: 2, deferred: 0, leaseMs: 1_000 });
  now.ms += 1_001;
  expect(await sessions.recover()).toMatchObject({ sessions: 1, published: 7, duplicatesPossible: 4 });
});

test.each([
  ['recovery', 1],
  ['the next command, and then recovery', 1],
  ['recovery, if it had not begun', 0],
])(
  'what a commit had in flight when it lost the store is counted, brought back by %s',
  async (by, batches) => {
    const store = faultyStore(memoryStore());
    const sessions = instanceOn({ store, commit: { batchEvents: 2, inFlight: 2, retries: 0 } });
    const session = await sessions.startSession();
    await session.addMany(numbers(2).map(typed));
    store.decide = (method) => (method === (batches > 0 ? 'advance' : 'beginCommit') ? 'cut before' : 'up');
    expect(await session.commit()).toMatchObject({ status: 'committing', published: 0 });
    store.decide = undefined;
    if (by.startsWith('the next command')) await session.status();
    expect(await sessions.recover()).toMatchObject({ published: 2, duplicatesPossible: 2 * batches });
  },
);

describe('while the store is away', () => {
  async function waiting() {
    const store = memoryStore();
    const log = await owedLog(store, 3);
    const away = faultyStore(store);
    away.fault = 'down';
    let reads = 0;
    const watched = onSealed(log, (sealed) => {
      reads += 1;
      return sealed;
    });
    const broker = { down: false };
    const publisher = memoryPublisher({
      onPublish: () => {
        if (broker.down) throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
      },
    });
    const sessions = instanceOn({ store: away, publisher, contingency: watched });
    const published = () => publisher.published.map(({ event }) => event.data);
    return { sessions, away, broker, published, reads: () => reads };
  }

  test('what the broker is owed is published, and then the log is left alone until the store is back', async () => {
    const { sessions, away, published, reads } = await waiting();
    expect(await sessions.recover()).toMatchObject({ published: 3, remaining: 0, complete: false });
    expect([published(), reads()]).toEqual([[1, 2, 3], 1]);

    await (await sessions.startSession()).add('a', 4);
    const nothing = {
      sessions: 0,
      events: 0,
      published: 0,
      duplicatesPossible: 0,
      discarded: 0,
      quarantined: 0,
      corrupt: 0,
    };
    for (let pass = 1; pass <= 3; pass += 1) {
      expect(await sessions.recover()).toMatchObject({ ...nothing, remaining: 2, complete: false });
    }
    expect(reads()).toBe(1);

    away.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ sessions: 1, events: 1, remaining: 0, complete: true });
  });

  test('and the broker too, the log is read until the broker has what it is owed', async () => {
    const { sessions, broker, published, reads } = await waiting();
    broker.down = true;
    expect(await sessions.recover()).toMatchObject({ published: 0, remaining: 3, complete: false });
    broker.down = false;
    expect(await sessions.recover()).toMatchObject({ published: 3, remaining: 0, complete: false });
    expect([published(), reads()]).toEqual([[1, 2, 3], 2]);
    await sessions.recover();
    expect(reads()).toBe(2);
  });
});

describe('one session that cannot be recovered', () => {
  test('because the store lost its events is quarantined, and holds up no other', async () => {
    const base = memoryStore();
    const store = faultyStore({
      ...base,
      beginCommit: async (id, attempt) =>
        id === 'corrupt' ? { outcome: 'corrupt', counted: 2, found: 1 } : base.beginCommit(id, attempt),
    });
    const log = memoryContingency();
    const publisher = memoryPublisher();
    const sessions = instanceOn({ store, publisher, contingency: log });
    for (const sessionId of ['corrupt', 'good']) await sessions.startSession({ sessionId });
    store.fault = 'down';
    for (const id of ['corrupt', 'good']) {
      await sessions.session(id).add('a', id);
      await sessions.session(id).commit();
    }
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ published: 1, quarantined: 1, complete: true });
    expect(publisher.published.map(({ event }) => event.data)).toEqual(['good']);
    expect(log.quarantined).toMatchObject([
      { record: { kind: 'session.commit_requested', sessionId: 'corrupt' }, reason: /lost events/ },
    ]);
  });

  test('does not hide those that are due behind it', async () => {
    const base = memoryStore();
    const stuck = new Set(numbers(150).map((n) => `stuck-${n}`));
    const store = faultyStore({
      ...base,
      beginCommit: async (id, attempt) =>
        stuck.has(id) && attempt.cause.instance !== 'dead'
          ? { outcome: 'corrupt', counted: 2, found: 1 }
          : base.beginCommit(id, attempt),
    });
    const publisher = memoryPublisher();
    const sessions = instanceOn({ store, publisher });
    for (const sessionId of [...stuck, 'good']) {
      await (await sessions.startSession({ sessionId })).add('a', sessionId);
      await store.beginCommit(sessionId, { attemptId: 'x', leaseMs: 1, cause: { instance: 'dead' } });
      await store.releaseCommit(sessionId, 1);
    }
    expect(await sessions.recover()).toMatchObject({ sessions: 151, published: 1 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual(['good']);
  });

  test('nor is one of many looked at again and again', async () => {
    const base = memoryStore();
    let asked = 0;
    const store = faultyStore({
      ...base,
      beginCommit: async () => ({ outcome: 'corrupt', counted: 2, found: 1 }),
      due: async (limit) => {
        const due = await base.due(limit);
        asked += due.length;
        return due;
      },
    });
    const sessions = instanceOn({ store });
    for (const n of numbers(3_000)) {
      const { id } = await sessions.startSession({ sessionId: `stuck-${n}` });
      await base.beginCommit(id, { attemptId: 'x', leaseMs: 1, cause: { instance: 'dead' } });
      await base.releaseCommit(id, 1);
    }
    expect(await sessions.recover()).toMatchObject({ sessions: 3_000 });
    expect(asked).toBeLessThan(4 * 3_000);
  });
});

test('G2: a session that a replay brings back while it is found overdue is not committed', async () => {
  const now = { ms: 1_000_000 };
  const base = memoryStore({ now: () => now.ms });
  const replayed = { id: 'late', topic: 'a', json: '{"id":"late","type":"a","data":2}' };
  const limits = { maxSessionEvents: 10, maxSessionBytes: 10_000 };
  const store = {
    ...base,
    async expire(...args: Parameters<typeof base.expire>) {
      await base.append(args[0], [replayed], limits, 1_000_000);
      return base.expire(...args);
    },
  };
  const publisher = memoryPublisher();
  const sessions = instanceOn({ store, publisher });
  const session = await sessions.startSession({ ttl: 1_000 });
  await session.add('a', 1);
  now.ms += 1_000;
  expect(await sessions.recover()).toMatchObject({ sessions: 1, published: 0, discarded: 0 });
  expect(publisher.published).toEqual([]);
  expect(await session.status()).toMatchObject({ status: 'open', events: 2 });
});

test('close ends a pass behind the session it is at, and what is left stays', async () => {
  const store = memoryStore();
  const log = memoryContingency();
  const down = faultyStore(store);
  const writer = instanceOn({ store: down, contingency: log });
  down.fault = 'down';
  for (const n of numbers(5)) await writer.startSession({ sessionId: `s-${n}` });
  const sessions = instanceOn({ store, contingency: log });
  let closed: Promise<void> | undefined;
  const report = await sessions.recover({
    onProgress: ({ sessions: done }) => {
      if (done === 2) closed ??= sessions.close();
    },
  });
  expect(report).toMatchObject({ sessions: 2, remaining: 3, complete: false });
  await closed;
  expect(log.records).toHaveLength(3);
});

describe('a record that no instance can have written', () => {
  const at = 1;
  const event = '{"specversion":"1.0","id":"e-1","datacontenttype":"application/json","data":1}';
  const added = { kind: 'event.added', sessionId: 's-1', at, topic: 'a', event } as const;
  const owed = { ...added, kind: 'event.unpublished', sequence: 1 } as const;
  const started = { kind: 'session.started', sessionId: 's-9', at, metadata: '{}', ttlMs: 1_000 } as const;
  const requested = { kind: 'session.commit_requested', sessionId: 's-1', at, attemptId: 'a' } as const;

  test.each<[string, ContingencyRecord]>([
    ['session id', { ...added, sessionId: '}' }],
    ['time', { ...added, at: 0.5 }],
    ['topic', { ...added, topic: 'a\nPUB b' }],
    ['event', { ...added, event: 'text' }],
    ['event id', { ...added, event: event.replace('e-1', 'e 1') }],
    ['event that is owed', { ...owed, event: '{}' }],
    ['sequence', { ...owed, sequence: 0 }],
    ['time to live', { ...started, ttlMs: -1 }],
    ['metadata', { ...started, metadata: '[]' }],
    ['attempt', { ...requested, attemptId: '' }],
    ['number of expected events', { ...requested, expectedEvents: -1 }],
  ])('for its %s goes to quarantine, and holds up no other', async (_, flawed) => {
    const store = memoryStore();
    const log = memoryContingency();
    const publisher = memoryPublisher();
    const sessions = instanceOn({ store, publisher, contingency: log });
    await sessions.startSession({ sessionId: 's-1' });
    for (const record of [flawed, flawed, { ...added, at: Date.now() }, flawed]) await log.append([record]);
    const report = await sessions.recover();
    expect(report).toMatchObject({ events: 1, quarantined: 3, remaining: 0, published: 0, complete: true });
    const quarantined = { record: flawed, reason: expect.stringMatching(/^its /) };
    expect(log.quarantined).toMatchObject([quarantined, quarantined, quarantined]);
    expect((await sessions.session('s-1').events()).events).toMatchObject([{ id: 'e-1' }]);
  });
});

describe('a process that starts with a backlog in its log', () => {
  async function restarted() {
    const store = memoryStore();
    const log = memoryContingency();
    const down = faultyStore(store);
    const before = instanceOn({ store: down, contingency: log });
    down.fault = 'down';
    const { id } = await before.startSession();
    await before.session(id).add('a', 1);
    const publisher = memoryPublisher();
    return { id, log, publisher, sessions: instanceOn({ store, publisher, contingency: log }) };
  }

  test('finds its sessions at the first command, with their events in front', async () => {
    const { id, sessions, publisher } = await restarted();
    expect(await sessions.session(id).add('a', 2)).toMatchObject({ deferred: false });
    expect(await sessions.session(id).commit()).toMatchObject({ events: 2, published: 2 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual([1, 2]);
  });

  test('asks the log only once', async () => {
    const { id, sessions, log } = await restarted();
    await sessions.session(id).status();
    const { length } = log.records;
    await log.append([{ kind: 'session.started', sessionId: 'other', at: 1, metadata: '{}', ttlMs: 60_000 }]);
    await expect(sessions.session('other').status()).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    expect(log.records).toHaveLength(length + 1);
  });

  test('and with the store still away knows how its sessions were asked to end', async () => {
    const store = memoryStore();
    const log = memoryContingency();
    const down = faultyStore(store);
    const before = instanceOn({ store: down, contingency: log });
    const [x, y] = [await before.startSession(), await before.startSession()];
    await y.add('a', 1);
    down.fault = 'down';
    await x.add('a', 'money');
    await x.commit();
    await y.add('a', 2);

    const publisher = memoryPublisher();
    const after = instanceOn({ store: down, publisher, contingency: log });
    await expect(after.session(x.id).rollback()).rejects.toMatchObject({ status: 'committing' });
    expect(await after.session(y.id).add('a', 3)).toMatchObject({ deferred: true });
    down.fault = 'up';
    expect(await after.session(y.id).commit()).toMatchObject({ status: 'committed', events: 3 });
    await after.recover();
    expect(publisher.published.map(({ event }) => event.data).sort()).toEqual([1, 2, 3, 'money']);
    expect(
      publisher.published.flatMap(({ event }) => (event.sessionid === y.id ? [event.data] : [])),
    ).toEqual([1, 2, 3]);
  });

  test('recovers by itself soon, long before its first interval', async () => {
    const { log } = await restarted();
    openSessions({ contingency: log, logger: false, recovery: { intervalMs: 3_600_000 } });
    await expect.poll(() => log.records).toEqual([]);
  });
});

describe('several instances, each with a log of its own', () => {
  function pods(count: number) {
    const base = memoryStore();
    const publisher = memoryPublisher();
    const made = numbers(count).map(() => {
      const store = faultyStore(base);
      const log = memoryContingency();
      return { store, log, sessions: instanceOn({ store, publisher, contingency: log }) };
    });
    const all = (fault: 'down' | 'up') => {
      for (const { store } of made) store.fault = fault;
    };
    return { made, publisher, all, base };
  }

  test('in whatever order they recover, nothing is taken for unknown that another one still has', async () => {
    const { made, publisher, all } = pods(3);
    const [a, b, c] = made as [(typeof made)[0], (typeof made)[0], (typeof made)[0]];
    all('down');
    const { id } = await a.sessions.startSession();
    await b.sessions.session(id).add('t', 1);
    await c.sessions.session(id).commit({ expectedEvents: 1 });
    all('up');
    expect(await c.sessions.recover()).toMatchObject({ remaining: 1, quarantined: 0 });
    expect(await b.sessions.recover()).toMatchObject({ remaining: 1, quarantined: 0 });
    expect(await a.sessions.recover()).toMatchObject({ remaining: 0 });
    expect(await c.sessions.recover()).toMatchObject({ remaining: 1, quarantined: 0 });
    expect(await b.sessions.recover()).toMatchObject({ remaining: 0 });
    expect(await c.sessions.recover()).toMatchObject({ remaining: 0, published: 1, quarantined: 0 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual([1]);
  });

  test('a rollback of a session that only another one knows waits for it, and wins', async () => {
    const { made, publisher, all } = pods(2);
    const [a, b] = made as [(typeof made)[0], (typeof made)[0]];
    all('down');
    const { id } = await a.sessions.startSession();
    await a.sessions.session(id).add('t', 1);
    await b.sessions.session(id).rollback();
    all('up');
    await b.sessions.recover();
    await a.sessions.recover();
    expect(await b.sessions.recover()).toMatchObject({ remaining: 0, quarantined: 0 });
    expect(await a.sessions.session(id).status()).toMatchObject({ status: 'rolled_back' });
    expect(publisher.published).toEqual([]);
  });

  test('events whose rollback came too late belong to the session that was committed', async () => {
    const { made, publisher } = pods(2);
    const [a, b] = made as [(typeof made)[0], (typeof made)[0]];
    const { id } = await a.sessions.startSession();
    await a.sessions.session(id).add('t', 1);
    a.store.fault = 'down';
    await a.sessions.session(id).add('t', 2);
    await b.sessions.session(id).commit();
    await a.sessions.session(id).rollback();
    a.store.fault = 'up';
    expect(await a.sessions.recover()).toMatchObject({ published: 1, discarded: 0, quarantined: 1 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual([1, 2]);
    expect(a.log.quarantined).toMatchObject([{ record: { kind: 'session.rollback_requested' } }]);
  });
});

test('G5: a commit that was recorded while a pass was under way is not forgotten by it', async () => {
  const store = faultyStore(memoryStore());
  const log = memoryContingency();
  const publisher = memoryPublisher();
  let afterRead = async () => {};
  const watched = onSealed(log, (sealed) => ({
    ...sealed,
    settle: async (places) => {
      await sealed.settle(places);
      await afterRead();
    },
  }));
  const sessions = instanceOn({ store, publisher, contingency: watched });
  const session = await sessions.startSession();
  store.fault = 'down';
  await session.add('a', 1);
  store.fault = 'up';
  afterRead = async () => {
    afterRead = async () => {};
    await session.add('a', 2);
    store.fault = 'down';
    expect(await session.commit()).toMatchObject({ status: 'committing' });
    store.fault = 'up';
  };
  await sessions.recover();
  await expect(session.rollback()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN' });
  await sessions.recover();
  expect(publisher.published.map(({ event }) => event.data)).toEqual([1, 2]);
});

test('G7: with a broker that takes nothing, a pass pays for its retries once', async () => {
  const store = memoryStore();
  let calls = 0;
  const publisher = memoryPublisher({
    onPublish: () => {
      calls += 1;
      throw new EventSessionsError('PUBLISH_FAILED', 'down', { outcome: 'not_done' });
    },
  });
  const sessions = instanceOn({ store, publisher, contingency: memoryContingency() });
  for (const sessionId of numbers(20).map(String)) {
    await (await sessions.startSession({ sessionId })).add('a', 1);
    await store.beginCommit(sessionId, { attemptId: 'x', leaseMs: 1, cause: { instance: 'dead' } });
    await store.releaseCommit(sessionId, 1);
  }
  expect(await sessions.recover()).toMatchObject({ sessions: 20, published: 0, complete: false });
  expect(calls).toBe(1);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('boom');
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('boom');
    },
  ],
])('G8: an onProgress that %s is logged, and the pass goes on', async (_, onProgress) => {
  const store = memoryStore();
  const log = await owedLog(store, 3);
  const logged: unknown[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (message: string, context?: object) => logged.push({ message, ...context }),
  };
  const report = await instanceOn({ store, contingency: log, logger }).recover({ onProgress });
  expect(report).toMatchObject({ published: 3, complete: true });
  await expect.poll(() => logged).toContainEqual({ message: 'onProgress of recover failed', cause: 'boom' });
});

import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { toElements, toPage } from '../../../src/adapters/redis/list-elements.js';
import { createEventIds, newId } from '../../../src/core/ids.js';
import { CAUSE, LIMITS, started } from '../../../src/testing/store-sessions.js';
import { randomFrom, seedFrom } from '../../support/random.js';
import { describeWith } from '../../support/services.js';

const eventIdFor = createEventIds();
const SEED = seedFrom('TEST_SEED');

function event(sessionId: string, bytes: number, topic = 'orders') {
  const id = eventIdFor(sessionId);
  const head = `{"id":"${id}","é":"`;
  return { id, topic, json: `${head}${'x'.repeat(Math.max(0, bytes - Buffer.byteLength(head) - 2))}"}` };
}

test('an element has as many events as fit into a node of a list, or one that does not fit', () => {
  const sizes = [4_000, 4_145, 60, 20_000, 100];
  const { texts, bytes, largest } = toElements(
    sizes.map((size) => event('s', size)),
    8,
  );
  expect(texts.map((text) => [Number.parseInt(text, 10), text.split('\n').length])).toEqual([
    [8, 2],
    [10, 1],
    [11, 1],
    [12, 1],
  ]);
  expect(bytes).toBe(4_000 + 4_145 + 60 + 20_000 + 100);
  expect(largest).toBe(20_000 + 'orders '.length);
});

const range = { after: 0, limit: 10, maxBytes: 1_000 };

test.each([
  ['of another session', ['2 a {}']],
  ['that are there twice', ['1 a {}\na {}', '2 a {}']],
  ['between which some are missing', ['1 a {}', '3 a {}']],
])('events %s are SESSION_CORRUPT', (_, elements) => {
  expect(() => toPage('s-1', elements, 0, range)).toThrow(
    expect.objectContaining({ code: 'SESSION_CORRUPT', sessionId: 's-1' }),
  );
});

describeWith('redis', ({ url }) => {
  const client = new Redis(url);
  afterAll(() => client.disconnect());

  test('G4: events of several stores are at the positions in which Redis took them, whatever each of them expected', async () => {
    const prefix = newId();
    const stores = [1, 2, 3].map(() => redisStore({ client, prefix }));
    const [first] = stores;
    if (first === undefined) throw new Error('there is a store');
    const sessionId = await started(first);
    const all: string[] = [];
    for (const count of [1, 40, 2, 9, 10]) {
      for (const store of stores) {
        const ids = createEventIds();
        const events = Array.from({ length: count }, () => ({
          ...event(sessionId, 400),
          id: ids(sessionId),
        }));
        await store.append(sessionId, events, LIMITS);
        all.push(...events.map(({ json }) => json));
      }
    }
    const events = await first.read(sessionId, { after: 0, limit: 1_000, maxBytes: 10_000_000 });
    expect(events.map(({ sequence }) => sequence)).toEqual(all.map((_, i) => i + 1));
    expect(events.map(({ json }) => json)).toEqual(all);
  });

  test(`whatever was appended together, every range of it is read as it was added, seed ${SEED}`, async () => {
    const random = randomFrom(SEED);
    const upTo = (n: number) => Math.floor(random() * (n + 1));
    const store = redisStore({ client, prefix: newId() });
    for (let round = 0; round < 12; round += 1) {
      const sessionId = await started(store);
      const all: { topic: string; json: string }[] = [];
      const largest = [200, 3_000, 30_000, 300_000][round % 4] ?? 0;
      for (let call = upTo(8); call >= 0; call -= 1) {
        const count = upTo(3) === 0 ? 1 : 1 + upTo(largest > 10_000 ? 5 : 200);
        const events = Array.from({ length: count }, () =>
          event(sessionId, upTo(upTo(20) === 0 ? largest : 200), upTo(3) === 0 ? 'bills' : 'orders'),
        );
        expect(await store.append(sessionId, events, LIMITS)).toMatchObject({ duplicates: [] });
        expect(await store.append(sessionId, events.slice(-2), LIMITS)).toMatchObject({
          duplicates: events.slice(-2).map((_, i) => i),
        });
        all.push(...events);
      }
      const expected = all.map(({ topic, json }, i) => ({ topic, json, sequence: i + 1 }));

      const page = async (after: number, limit: number, maxBytes: number) => {
        const events = await store.read(sessionId, { after, limit, maxBytes });
        const found = events.map(({ topic, json, sequence }) => ({ topic, json, sequence }));
        expect(found).toEqual(expected.slice(after, after + found.length));
        expect(found.length).toBeLessThanOrEqual(limit);
        if (after < all.length) expect(found.length).toBeGreaterThan(0);
        const bytes = found.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
        if (found.length > 1) expect(bytes).toBeLessThanOrEqual(maxBytes);
        return after + found.length;
      };
      const readThrough = async (limit: number, maxBytes: number) => {
        let after = 0;
        while (after < all.length) after = await page(after, limit, maxBytes);
        expect(await page(after, limit, maxBytes)).toBe(after);
      };
      const readAnywhere = async () => {
        for (let i = 0; i < 10; i += 1) await page(upTo(all.length + 2), 1 + upTo(100), 1 + upTo(50_000));
        for (const maxBytes of [1, 5_000, 4_194_304]) await readThrough(1 + upTo(500), maxBytes);
      };

      await readAnywhere();
      const attempt = { attemptId: newId(), leaseMs: 60_000, cause: CAUSE };
      expect(await store.beginCommit(sessionId, attempt)).toMatchObject({ events: all.length });
      await readThrough(500, 4_194_304);
      await readAnywhere();
    }
  });

  test('many small events take few elements, and few bytes of Redis', async () => {
    const prefix = newId();
    const store = redisStore({ client, prefix });
    const sessionId = await started(store);
    const events = Array.from({ length: 1_000 }, () => event(sessionId, 250));
    await store.append(sessionId, events, LIMITS);
    const key = `${prefix}:{${sessionId}}:events`;
    expect(await client.llen(key)).toBe(33);
    expect(await client.memory('USAGE', key, 'SAMPLES', 0)).toBeLessThan(1_000 * 275);
  });

  test('a page deep in a session of single events needs no more elements than it has', async () => {
    const prefix = newId();
    const store = redisStore({ client, prefix });
    const sessionId = await started(store);
    for (let i = 0; i < 200; i += 1) await store.append(sessionId, [event(sessionId, 100)], LIMITS);
    await client.config('RESETSTAT');
    expect(await store.read(sessionId, { after: 150, limit: 10, maxBytes: 100_000 })).toHaveLength(10);
    const stats = await client.info('commandstats');
    const lindex = Number(/cmdstat_lindex:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    expect(lindex).toBeLessThanOrEqual(8);
  });
});

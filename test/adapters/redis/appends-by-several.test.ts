import { memoryStore } from 'event-sessions';
import { type RedisClient, redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AcceptedEvent } from '../../../src/core/event.js';
import { newId } from '../../../src/core/ids.js';
import { CAUSE, newEvent, newSession, RETENTION, readAll } from '../../../src/testing/store-sessions.js';
import { randomFrom, seedFrom } from '../../support/random.js';
import { type RunningRedis, startRedis } from '../../support/redis.js';
import { needs } from '../../support/services.js';

describe('on a Redis that forgets its scripts', needs('redis'), () => {
  let own: RunningRedis;
  let raw: Redis;
  beforeAll(async () => {
    own = await startRedis();
    raw = new Redis(own.url);
  });
  afterAll(async () => {
    raw.disconnect();
    await own.stop();
  });

  /** A client, and how often a session was as its writer expected. */
  function counting() {
    const count = { asExpected: 0, appends: 0 };
    const client: RedisClient = {
      async evalsha(...call) {
        const reply = await raw.evalsha(...call);
        if (reply === 1 || (Array.isArray(reply) && reply[0] === 'appended')) count.appends += 1;
        if (reply === 1) count.asExpected += 1;
        return reply;
      },
      eval: (...call) => raw.eval(...call),
      lrangeBuffer: (...call) => raw.lrangeBuffer(...call),
    };
    return { client, count };
  }

  // The first one has found appends that overtook one another.
  test.each([994747747, seedFrom('FUZZ_SEED')])(
    'a session that several append to, in whatever way, is the one that a store in memory makes of it',
    async (seed) => {
      const [random, flushRandom] = [randomFrom(seed), randomFrom(seed + 1)];
      const below = (n: number) => Math.floor(random() * n);
      const prefix = `several-${newId()}`;
      const { client, count } = counting();
      const stores = [redisStore({ client, prefix }), redisStore({ client, prefix })];
      const flushes: Promise<unknown>[] = [];
      for (let session = 0; session < 40; session += 1) {
        const what = `seed ${seed}, session ${session}`;
        const sessionId = `s-${session}`;
        const memory = memoryStore();
        for (const store of [memory, stores[0]]) await store?.start(newSession({ sessionId }));
        const last = [0, 0, 0];
        const drawEvents = (writer: number): AcceptedEvent[] => {
          const n = random() < 0.1 ? 1 + below(40) : 1 + below(3);
          if (random() < 0.1) last[writer] = Math.max(0, (last[writer] ?? 0) - below(4));
          if (random() < 0.1) last[writer] = (last[writer] ?? 0) + 1 + below(3);
          return Array.from({ length: n }, () => {
            last[writer] = (last[writer] ?? 0) + 1;
            const id = random() < 0.02 ? `loose${below(5)}` : `w${writer}-${last[writer]}`;
            return newEvent(sessionId, {
              id,
              topic: random() < 0.9 ? 'a' : 'b',
              data: 'é'.repeat(below(random() < 0.05 ? 9_000 : 60)),
            });
          });
        };
        for (let step = 0; step < 40; step += 1) {
          const by = random() < 0.8 ? 0 : 1;
          const [store] = stores.slice(by);
          if (store === undefined) throw new Error(what);
          if (random() < 0.05) {
            const ttlMs = 30_000 + below(60_000);
            expect((await store.extend(sessionId, ttlMs)).outcome, what).toBe('extended');
            continue;
          }
          const limits = {
            maxSessionEvents: random() < 0.9 ? 1_000 : 50,
            maxSessionBytes: random() < 0.9 ? 1e9 : 3_000,
          };
          // Some calls are not awaited one by one, in one turn or in several.
          const calls = Array.from({ length: random() < 0.8 ? 1 : 3 }, () =>
            drawEvents(random() < 0.9 ? by : 2),
          );
          const turns = random() < 0.5;
          const found = [];
          for (const events of calls) {
            if (flushRandom() < 0.1) flushes.push(raw.script('FLUSH'));
            found.push(store.append(sessionId, events, limits));
            if (turns) await new Promise((resolve) => setImmediate(resolve));
          }
          const expected = [];
          for (const events of calls) expected.push(await memory.append(sessionId, events, limits));
          expect(await Promise.all(found), `${what}, step ${step}`).toEqual(expected);
        }
        const [store] = stores;
        if (store === undefined) throw new Error(what);
        expect(await readAll(store, sessionId), what).toEqual(await readAll(memory, sessionId));
        const [record, expected] = [await store.get(sessionId), await memory.get(sessionId)];
        expect([record?.events, record?.bytes], what).toEqual([expected?.events, expected?.bytes]);
        const [elements, largest] = await raw.hmget(`${prefix}:{${sessionId}}`, 'elements', 'largest');
        const list = await raw.lrangeBuffer(`${prefix}:{${sessionId}}:events`, 0, -1);
        expect(Number(elements), what).toBe(list.length);
        const sizes = list.map((element) => element.length - 1 - element.indexOf(' '));
        expect(Number(largest), what).toBeGreaterThanOrEqual(Math.max(0, ...sizes) - 100);
        const begun = await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 1_000, cause: CAUSE });
        expect(begun.outcome, what).toBe('granted');
        const refused = await stores[1]?.append(sessionId, [newEvent(sessionId, { id: 'late' })], {
          maxSessionEvents: 1e6,
          maxSessionBytes: 1e9,
        });
        expect(refused, what).toEqual({ outcome: 'not_open', status: 'committing' });
      }
      await Promise.all(flushes);
      expect(count.asExpected).toBeGreaterThan(count.appends / 10);
    },
  );

  const ends = {
    committing: (store: ReturnType<typeof redisStore>, id: string) =>
      store.beginCommit(id, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE }),
    rolled_back: (store: ReturnType<typeof redisStore>, id: string) => store.rollback(id, RETENTION),
  };
  test.each(Object.entries(ends))(
    'an append of a writer who knew the session is refused once it is %s',
    async (status, end) => {
      const { client, count } = counting();
      const options = { client, prefix: `ended-${newId()}` };
      const [store, other] = [redisStore(options), redisStore(options)];
      const limits = { maxSessionEvents: 100, maxSessionBytes: 1e6 };
      await store.start(newSession({ sessionId: 's' }));
      for (const id of ['w-1', 'w-2', 'w-3']) await store.append('s', [newEvent('s', { id })], limits);
      expect(count.asExpected).toBe(2);
      await end(other, 's');
      expect(await store.append('s', [newEvent('s', { id: 'w-4' })], limits)).toEqual({
        outcome: 'not_open',
        status,
      });
      expect((await readAll(store, 's')).length).toBe(3);
    },
  );

  test('an append of a writer who knows the session renews its time, and what another has extended stays', async () => {
    const { client, count } = counting();
    const options = { client, prefix: `renewed-${newId()}` };
    const [store, other] = [redisStore(options), redisStore(options)];
    const limits = { maxSessionEvents: 100, maxSessionBytes: 1e6 };
    await store.start(newSession({ sessionId: 's', ttlMs: 60_000 }));
    await store.append('s', [newEvent('s', { id: 'w-1' })], limits);
    const before = (await store.get('s'))?.expiresAt ?? 0;
    await store.append('s', [newEvent('s', { id: 'w-2' })], limits);
    expect(count.asExpected).toBe(1);
    expect((await store.get('s'))?.expiresAt).toBeGreaterThanOrEqual(before);
    await other.extend('s', 900_000);
    const extended = (await store.get('s'))?.expiresAt ?? 0;
    await store.append('s', [newEvent('s', { id: 'w-3' })], limits);
    expect(count.asExpected).toBe(1);
    expect((await store.get('s'))?.expiresAt).toBeGreaterThanOrEqual(extended);
  });
});

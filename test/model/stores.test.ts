import { memoryStore, type SessionStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { seedFrom } from '../support/random.js';
import { describeWith } from '../support/services.js';

const SEED = seedFrom('MODEL_SEED');
const NOW = 1_800_000_000_000;
const RETENTION_MS = 1_000_000_000;
const IDS = ['s-1', 's_2', 's-3'] as const;
const cause = { instance: 'host', reason: 'test' };

/** Ids of a writer, in many orders, and others that only look like one's. */
const eventId = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 12 }).map((n) => `w-${n}`) },
  fc.constantFrom('x', 'w-01', 'w-', '-1', 'w-999999999999999', 'w-1000000000000000', 'v-1', 'v-2'),
);
/** Numbers without a gap, as the ids of a library's own making have. */
const run = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 5 }))
  .map(([first, n]) => Array.from({ length: n }, (_, i) => `w-${first + i}`));
const sessionId = fc.constantFrom(...IDS);
const ttlMs = fc.constantFrom(1_000, 60_000);
const asOf = fc.option(fc.constantFrom(-5_000, -500, 0, 5_000), { nil: undefined });
const count = fc.nat({ max: 6 });
const leaseMs = fc.constantFrom(1, 500, 10_000);
const epoch = fc.constantFrom(1, 1, 2, 3);

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ name: fc.constant('start' as const), sessionId, ttlMs }) },
  {
    weight: 8,
    arbitrary: fc.record({
      name: fc.constant('append' as const),
      sessionId,
      ids: fc.oneof(run, fc.array(eventId, { minLength: 1, maxLength: 5 })),
      size: fc.constantFrom(1, 10, 3_000),
      limits: fc.constantFrom(
        { maxSessionEvents: 1_000, maxSessionBytes: 10_000_000 },
        { maxSessionEvents: 1_000, maxSessionBytes: 10_000_000 },
        { maxSessionEvents: 5, maxSessionBytes: 4_000 },
      ),
      asOf,
    }),
  },
  fc.record({ name: fc.constant('extend' as const), sessionId, ttlMs: fc.option(ttlMs, { nil: undefined }) }),
  {
    weight: 3,
    arbitrary: fc.record({
      name: fc.constant('beginCommit' as const),
      sessionId,
      attemptId: fc.constantFrom('a', 'b', 'c'),
      leaseMs,
      expectedEvents: fc.option(count, { nil: undefined }),
      asOf,
    }),
  },
  // A renewal makes no lease shorter.
  {
    weight: 2,
    arbitrary: fc.record({
      name: fc.constant('advance' as const),
      sessionId,
      epoch,
      cursor: count,
      deferred: count,
      leaseMs: fc.constant(10_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      name: fc.constant('finishCommit' as const),
      sessionId,
      epoch,
      cursor: fc.option(count, { nil: undefined }),
    }),
  },
  fc.record({ name: fc.constant('releaseCommit' as const), sessionId, epoch }),
  fc.record({ name: fc.constant('rollback' as const), sessionId, asOf: fc.constantFrom(undefined, 0) }),
  fc.record({ name: fc.constant('expire' as const), sessionId, graceMs: fc.constantFrom(0, 500) }),
  fc.record({
    name: fc.constant('read' as const),
    sessionId,
    after: count,
    limit: fc.integer({ min: 1, max: 5 }),
    maxBytes: fc.constantFrom(1, 200, 100_000),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      name: fc.constant('pass' as const),
      ms: fc.constantFrom(1, 499, 500, 1_000, 10_000, 60_000),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const jsonOf = (id: string, size: number) =>
  `{"specversion":"1.0","id":"${id}","source":"/x","type":"x","datacontenttype":"application/json","data":"${'x'.repeat(size)}"}`;

async function act(store: SessionStore, one: Exclude<Step, { name: 'pass' }>, now: number): Promise<unknown> {
  const { sessionId: id } = one;
  const timeOf = (ago: number | undefined) => (ago === undefined ? undefined : now + ago);
  switch (one.name) {
    case 'start':
      return store.start({ sessionId: id, metadata: '{"a":1}', ttlMs: one.ttlMs, cause });
    case 'append': {
      const events = one.ids.map((eventId) => ({ id: eventId, topic: 't', json: jsonOf(eventId, one.size) }));
      return store.append(id, events, one.limits, timeOf(one.asOf));
    }
    case 'extend':
      return store.extend(id, one.ttlMs);
    case 'beginCommit':
      return store.beginCommit(id, { ...one, asOf: timeOf(one.asOf), cause });
    case 'advance':
      return store.advance(id, one);
    case 'finishCommit': {
      const { cursor = (await store.get(id))?.events ?? 0 } = one;
      const receipt = {
        sessionId: id,
        status: 'committed',
        events: cursor,
        published: cursor,
        deferred: 0,
        durationMs: 1.5,
      } as const;
      return store.finishCommit(id, {
        epoch: one.epoch,
        cursor,
        deferred: 0,
        receipt,
        retentionMs: RETENTION_MS,
        cause,
      });
    }
    case 'releaseCommit':
      return store.releaseCommit(id, one.epoch);
    case 'rollback':
      return store.rollback(id, { retentionMs: RETENTION_MS, asOf: one.asOf, cause });
    case 'expire':
      return store.expire(id, { retentionMs: RETENTION_MS, graceMs: one.graceMs, cause });
    case 'read': {
      const found = await store.read(id, one);
      return found.map(({ topic, sequence, json }) => ({ topic, sequence, json }));
    }
  }
}

async function listed(store: SessionStore, status: 'open' | 'committing' | undefined): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined, pages = 0; pages < 10; pages += 1) {
    const page = await store.list({ status, cursor, limit: 2 });
    found.push(...page.sessions.map((one) => JSON.stringify(one)));
    cursor = page.cursor;
    if (cursor === undefined) return found.sort();
  }
  throw new Error('the pages have no end');
}

/** All that can be asked of a store, but for how many are active: that is an estimate. */
async function stateOf(store: SessionStore): Promise<unknown> {
  const ids = [
    ...Array.from({ length: 13 }, (_, n) => `w-${n}`),
    'x',
    'w-01',
    'w-',
    '-1',
    'v-1',
    'w-999999999999999',
  ];
  return {
    sessions: (await Promise.all(IDS.map((id) => store.get(id)))).map((one) => ({
      ...one,
      graceUntil: undefined,
    })),
    contains: await Promise.all(IDS.map((id) => store.contains(id, ids))),
    listed: await Promise.all(
      [undefined, 'open' as const, 'committing' as const].map((status) => listed(store, status)),
    ),
    due: [...(await store.due(100))].sort(),
  };
}

/** A client of a Redis whose time is in a key: seconds, and microseconds of the next one. */
function withClock(redis: Redis, key: string) {
  return {
    evalsha: async () => {
      throw new Error('NOSCRIPT');
    },
    eval: (lua: string, keyCount: number, ...args: (string | number)[]) =>
      redis.eval(
        lua.replace("redis.call('TIME')", `redis.call('LRANGE', '${key}', 0, 1)`),
        keyCount,
        ...args,
      ),
    lrangeBuffer: (key: string, start: number, stop: number) => redis.lrangeBuffer(key, start, stop),
  };
}

describeWith('redis', ({ url }) => {
  const redis = new Redis(url, { lazyConnect: true });
  afterAll(() => redis.disconnect());
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('Redis answers as memory does, whatever is asked of two stores on it', async () => {
    console.log(`stores: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
    const key = `clock-${newId()}`;
    const steps = fc.array(fc.tuple(step, fc.boolean(), fc.nat({ max: 5 })), {
      minLength: 5,
      maxLength: 25,
      size: 'max',
    });
    const property = fc.asyncProperty(steps, async (all) => {
      const clock = { now: NOW };
      const setClock = () =>
        redis
          .multi()
          .del(key)
          .rpush(key, Math.floor(clock.now / 1_000), (clock.now % 1_000) * 1_000)
          .exec();
      await setClock();
      const pass = async (ms: number) => {
        clock.now += ms;
        vi.advanceTimersByTime(ms);
        await setClock();
      };
      const memory = memoryStore({ now: () => clock.now });
      const prefix = `model-${newId()}`;
      const make = () => redisStore({ client: withClock(redis, key), prefix });
      const stores = [make(), make()] as const;
      for (const [one, other, looks] of all) {
        if (one.name === 'pass') {
          await pass(one.ms);
          continue;
        }
        expect(await act(stores[Number(other) as 0 | 1], one, clock.now), one.name).toEqual(
          await act(memory, one, clock.now),
        );
        if (looks > 0) continue;
        expect(await stateOf(stores[Number(!other) as 0 | 1]), `behind ${one.name}`).toEqual(
          await stateOf(memory),
        );
      }
      expect(await stateOf(stores[0])).toEqual(await stateOf(memory));
      await pass(200_000);
      expect(await stateOf(stores[0])).toEqual(await stateOf(memory));
    });
    await fc.assert(property, { numRuns: 60, seed: SEED });
    await redis.del(key);
  });
});

import { isEventSessionsError } from 'event-sessions';
import { type RedisClient, redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { APPEND_RUN, BEGIN_COMMIT } from '../../../src/adapters/redis/scripts.js';
import {
  CAUSE,
  LIMITS,
  newEvent,
  newSession,
  readAll,
  started,
} from '../../../src/testing/store-sessions.js';
import { type RunningRedis, startRedis } from '../../support/redis.js';
import { needs } from '../../support/services.js';

const nextTick = () => new Promise<void>((resolve) => process.nextTick(resolve));

/** It forgets its scripts, as after a start or a failover: what is sent by its hash alone comes back, to be sent again. */
describe('G4: a Redis that does not know a script', needs('redis'), () => {
  let own: RunningRedis;
  let client: Redis;
  beforeAll(async () => {
    own = await startRedis();
    client = new Redis(own.url);
  });
  afterAll(async () => {
    client.disconnect();
    await own.stop();
  });
  beforeEach(() => client.script('FLUSH'));

  const storeWith = (given: RedisClient = client) => redisStore({ client: given, deadlineMs: 10_000 });

  async function sessionIn(store: ReturnType<typeof redisStore>) {
    const sessionId = await started(store);
    return {
      sessionId,
      /** Sent when it returns, not answered. */
      async append(...ids: string[]) {
        const events = ids.map((id) => newEvent(sessionId, { id }));
        const answer = store.append(sessionId, events, LIMITS);
        await nextTick();
        return { answer };
      },
      ids: async () => (await readAll(store, sessionId)).map((json) => JSON.parse(json).id),
    };
  }

  test('takes the appends of a session in their order, when only that of the first is unknown', async () => {
    const { append, ids } = await sessionIn(storeWith());
    await client.script('LOAD', APPEND_RUN.lua);
    const [first, second] = [await append('any'), await append('w-1')];
    expect([await first.answer, await second.answer]).toMatchObject([{ events: 1 }, { events: 2 }]);
    expect(await ids()).toEqual(['any', 'w-1']);
  });

  test('takes them in their order when it forgets the script, and learns it from somebody else, in between', async () => {
    const { append, ids } = await sessionIn(storeWith());
    await (await append('w-1')).answer;
    const flushed = client.script('FLUSH');
    const first = await append('w-2');
    const loaded = client.script('LOAD', APPEND_RUN.lua);
    const [second, third] = [await append('w-3'), await append('w-4', 'w-5')];
    await Promise.all([flushed, loaded, first.answer, second.answer, third.answer]);
    expect(await ids()).toEqual(['w-1', 'w-2', 'w-3', 'w-4', 'w-5']);
  });

  test('takes a commit behind the append that was sent before it', async () => {
    const store = storeWith();
    const { sessionId, append } = await sessionIn(store);
    await client.script('LOAD', BEGIN_COMMIT.lua);
    const first = await append('w-1');
    const commit = store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    expect(await first.answer).toMatchObject({ outcome: 'appended', events: 1 });
    expect(await commit).toMatchObject({ outcome: 'granted', events: 1 });
  });

  test('takes calls in their order that go one by one, because all of them together exceed a limit', async () => {
    const store = storeWith();
    const { sessionId } = newSession();
    await store.start(newSession({ sessionId }));
    const limits = { maxSessionEvents: 3, maxSessionBytes: 1_000_000 };
    const calls = [['w-1'], ['any'], ['w-2', 'w-3'], ['w-4']];
    const answers = calls.map((ids) =>
      store.append(
        sessionId,
        ids.map((id) => newEvent(sessionId, { id })),
        limits,
      ),
    );
    expect(await Promise.all(answers)).toMatchObject([
      { events: 1 },
      { events: 2 },
      { outcome: 'limit_exceeded' },
      { events: 3 },
    ]);
    const ids = (await readAll(store, sessionId)).map((json) => JSON.parse(json).id);
    expect(ids).toEqual(['w-1', 'any', 'w-4']);
  });
});

describe('G4: behind an append of which nobody knows what became of it', needs('redis'), () => {
  let own: RunningRedis;
  beforeAll(async () => {
    own = await startRedis();
  });
  afterAll(() => own.stop());

  test('nothing of its session is carried out that was asked for before that was known', async () => {
    const redis = new Redis(own.url);
    let cut: ((error: Error) => void) | undefined;
    const client: RedisClient = {
      async evalsha(...call) {
        const reply = await redis.evalsha(...call);
        if (!call.includes('w:lost-')) return reply;
        return new Promise((_, reject) => {
          cut = reject;
        });
      },
      eval: (...call) => redis.eval(...call),
    };
    const store = redisStore({ client, deadlineMs: 10_000 });
    const sessionId = await started(store);
    const append = (id: string) => store.append(sessionId, [newEvent(sessionId, { id })], LIMITS);
    // A script is known when it was asked for once.
    await append('w-1');
    const lost = append('lost-1');
    await expect.poll(() => cut).toBeDefined();
    const commit = { attemptId: 'a', leaseMs: 60_000, cause: CAUSE };
    const behind = [append('w-2'), store.beginCommit(sessionId, commit), append('w-3')];
    cut?.(new Error('Connection is closed.'));
    const outcomes = (await Promise.allSettled([lost, ...behind])).map((settled) =>
      settled.status === 'rejected' && isEventSessionsError(settled.reason, 'STORE_UNAVAILABLE')
        ? settled.reason.outcome
        : settled,
    );
    expect(outcomes).toEqual(['unknown', 'not_done', 'not_done', 'not_done']);
    const ids = (await readAll(store, sessionId)).map((json) => JSON.parse(json).id);
    expect(ids).toEqual(['w-1', 'lost-1']);
    redis.disconnect();
  });
});

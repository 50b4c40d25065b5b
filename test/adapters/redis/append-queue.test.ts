import { describe, expect, test } from 'vitest';
import { type RedisClient, redisStore } from '../../../src/adapters/redis/index.js';
import type { AcceptedEvent } from '../../../src/core/event.js';

const LIMITS = { maxSessionEvents: 100, maxSessionBytes: 10_000 };
const event = (id: string): AcceptedEvent => ({ id, topic: 't', json: `{"id":"${id}"}` });

/** A client that answers nothing but failures, and notes what reaches its socket in one write. */
function clientWithStream(fail: () => Promise<never>) {
  const writes: number[] = [];
  let corked = 0;
  const send = () => {
    if (corked === 0) writes.push(0);
    writes[writes.length - 1] = (writes.at(-1) as number) + 1;
    return fail();
  };
  const stream = {
    cork() {
      corked += 1;
      writes.push(0);
    },
    uncork() {
      corked -= 1;
    },
  };
  const client: RedisClient = { evalsha: send, eval: send, stream };
  return { client, writes, corked: () => corked };
}

const rejects = () => Promise.reject(new Error('away'));
const throws = () => {
  throw new Error('away');
};

describe('appends of one turn', () => {
  test.each([
    [1, [1]],
    [2, [2]],
    [17, [16, 1]],
    [40, [16, 16, 8]],
  ])('to %i sessions go to the socket in writes of %j', async (sessions, expected) => {
    const { client, writes } = clientWithStream(rejects);
    const store = redisStore({ client });
    await Promise.allSettled(
      Array.from({ length: sessions }, (_, i) => store.append(`s${i}`, [event('a')], LIMITS)),
    );
    expect(writes).toEqual(expected);
  });

  test('hold nothing back when the client throws', async () => {
    const { client, corked } = clientWithStream(throws);
    const store = redisStore({ client });
    const appends = ['a', 'b'].map((id) => store.append(id, [event('a')], LIMITS));
    for (const append of appends) await expect(append).rejects.toThrow('away');
    expect(corked()).toBe(0);
  });

  test('need no socket', async () => {
    const client = { evalsha: rejects, eval: rejects, stream: {} } as unknown as RedisClient;
    const store = redisStore({ client });
    const appends = ['a', 'b'].map((id) => store.append(id, [event('a')], LIMITS));
    for (const append of appends) await expect(append).rejects.toThrow('away');
  });
});

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

describe('appends of several turns to one session', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  /** A client that answers when it is told to. */
  function clientByHand() {
    const sent: { ids: string[]; answer(reply: unknown): void }[] = [];
    const client: RedisClient = {
      evalsha: (...call) =>
        new Promise((answer) => {
          const ids = [...String(call).matchAll(/"id":"(\w+)"/g)].map(([, id = '']) => id);
          sent.push({ ids, answer });
        }),
      eval: rejects,
    };
    const settled: string[] = [];
    const store = redisStore({ client, deadlineMs: 1_000 });
    const append = async (id: string, limits = LIMITS) => {
      const answer = store.append('s', [event(id)], limits);
      answer.then(
        () => settled.push(`${id} done`),
        ({ outcome }) => settled.push(`${id} ${outcome}`),
      );
      await vi.advanceTimersByTimeAsync(0);
    };
    return { append, sent, settled };
  }

  test('go one after the other, and those that have come meanwhile as one', async () => {
    const { append, sent, settled } = clientByHand();
    for (const id of ['a', 'b', 'c']) await append(id);
    expect(sent.map(({ ids }) => ids)).toEqual([['a']]);
    sent[0]?.answer(['appended', '1', '']);
    await vi.advanceTimersByTimeAsync(0);
    expect(sent.map(({ ids }) => ids)).toEqual([['a'], ['b', 'c']]);
    sent[1]?.answer(['appended', '3', '']);
    await append('d');
    expect(settled).toEqual(['a done', 'b done', 'c done']);
    expect(sent.map(({ ids }) => ids)).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  test('G7: do not wait longer than the deadline for those before them, however many there are', async () => {
    const { append, sent, settled } = clientByHand();
    await append('a');
    // Other limits: not to be sent with what is before it.
    await append('b', { ...LIMITS });
    await append('c', { ...LIMITS });
    await vi.advanceTimersByTimeAsync(900);
    sent[0]?.answer(['appended', '1', '']);
    await vi.advanceTimersByTimeAsync(200);
    expect(sent.map(({ ids }) => ids)).toEqual([['a'], ['b']]);
    expect(settled).toEqual(['a done', 'c not_done']);
    await append('d');
    await vi.advanceTimersByTimeAsync(900);
    expect(settled).toEqual(['a done', 'c not_done', 'b unknown', 'd not_done']);
    expect(sent).toHaveLength(2);
  });
});

import {
  createEventSessions,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type SessionStore,
} from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { describeWith } from '../support/services.js';

/** What somebody else may have left in the place of an event. */
const FOREIGN = ['not JSON', '{"specversion":"1.0","id":"e', '{}', '[1]', '"text"', 'null', ''];

/** Puts text in the place of the second of three events of the session. */
type Spoil = (sessionId: string, json: string) => Promise<void>;

function setUp(store: SessionStore) {
  const publisher = memoryPublisher();
  const contingency = memoryContingency();
  const options = { recovery: false, logger: false, commit: { batchEvents: 1, inFlight: 2 } } as const;
  const sessions = createEventSessions({ store, publisher, contingency, ...options });
  return { sessions, contingency, published: () => publisher.published.map(({ event }) => event.data) };
}

function cases(storeThatCanBeSpoiled: () => { store: SessionStore; spoil: Spoil }) {
  test.each(FOREIGN)('%j is told by session and position, and published by no commit', async (json) => {
    const { store, spoil } = storeThatCanBeSpoiled();
    const { sessions, contingency, published } = setUp(store);
    const session = await sessions.startSession();
    await session.addMany([1, 2, 3].map((data) => ({ type: 'a', data })));
    await spoil(session.id, json);
    const corrupt = {
      code: 'SESSION_CORRUPT',
      sessionId: session.id,
      sequence: 2,
      message: expect.stringContaining(`event 2 of session ${session.id} `),
    };

    await expect(session.events()).rejects.toMatchObject(corrupt);
    expect((await session.events({ limit: 1 })).events).toMatchObject([{ data: 1 }]);
    expect((await session.events({ after: 2 })).events).toMatchObject([{ data: 3 }]);

    // What comes before it is published, but not again with every attempt.
    for (let attempt = 1; attempt <= 2; attempt += 1)
      await expect(session.commit()).rejects.toMatchObject(corrupt);
    expect(await sessions.recover()).toMatchObject({ published: 0, corrupt: 1, complete: true });
    expect(published()).toEqual([1]);
    expect(await session.status()).toMatchObject({ status: 'committing', published: 1 });
    expect(contingency.records).toEqual([]);

    await spoil(session.id, '{"specversion":"1.0","id":"e-2","datacontenttype":"application/json","data":2}');
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 3 });
    expect(published()).toEqual([1, 2, 3]);
    expect(await sessions.recover()).toMatchObject({ corrupt: 0 });
    await sessions.close();
  });
}

describe('something that is no event, in a store in memory', () => {
  cases(() => {
    const store = memoryStore();
    const spoiled = new Map<string, string>();
    const read: SessionStore['read'] = async (sessionId, range) => {
      const json = spoiled.get(sessionId);
      const events = await store.read(sessionId, range);
      return json === undefined
        ? events
        : events.map((event) => (event.sequence === 2 ? { ...event, json } : event));
    };
    return { store: { ...store, read }, spoil: async (id, json) => void spoiled.set(id, json) };
  });
});

describeWith('redis', ({ url }) => {
  const client = new Redis(url, { lazyConnect: true });
  afterAll(() => client.disconnect());

  describe('something that is no event, in Redis', () => {
    cases(() => {
      const prefix = `foreign-${newId()}`;
      return {
        store: redisStore({ url, prefix }),
        async spoil(id, json) {
          const key = `${prefix}:{${id}}:events`;
          const [first, , third] = ((await client.lindex(key, 0)) ?? '').split('\n');
          await client.lset(key, 0, [first, `a ${json}`, third].join('\n'));
        },
      };
    });
  });
});

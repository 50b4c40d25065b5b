import { createEventSessions, type Logger, memoryPublisher, type SessionStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import * as scripts from '../../../src/adapters/redis/scripts.js';
import { newId } from '../../../src/core/ids.js';
import { CAUSE, filled } from '../../../src/testing/store-sessions.js';
import { describeWith } from '../../support/services.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** The id of a session with one event, whose commit was begun, and given up. */
async function interrupted(store: SessionStore): Promise<string> {
  const { sessionId } = await filled(store, 1);
  await store.beginCommit(sessionId, { attemptId: 'dead', leaseMs: 60_000, cause: CAUSE });
  await store.releaseCommit(sessionId, 1);
  return sessionId;
}

describeWith('redis', ({ url }) => {
  function prepare() {
    const prefix = `spoiled-${newId()}`;
    const store = redisStore({ url, prefix });
    const client = new Redis(url);
    cleanUps.push(
      () => store.close(),
      () => client.disconnect(),
    );
    return {
      store,
      client,
      keyOf: (sessionId: string) => `${prefix}:{${sessionId}}`,
      index: `${prefix}:index`,
    };
  }

  const spoil: Record<string, { act: (client: Redis, key: string) => Promise<unknown>; listed: number }> = {
    'its hash is a string': { act: (client, key) => client.set(key, 'x'), listed: 2 },
    'its hash has lost its metadata': { act: (client, key) => client.hdel(key, 'metadata'), listed: 2 },
    'its list is a string': { act: (client, key) => client.set(`${key}:events`, 'x'), listed: 3 },
  };
  test.each(Object.entries(spoil))(
    'a session keeps neither recovery nor listings from the others: %s',
    async (_, { act, listed }) => {
      const { store, client, keyOf, index } = prepare();
      const publisher = memoryPublisher();
      const warnings: unknown[] = [];
      const quiet = () => {};
      const logger: Logger = {
        debug: quiet,
        info: quiet,
        warn: (_message, context) => warnings.push(context?.sessionId),
        error: quiet,
      };
      const sessions = createEventSessions({ store, publisher, recovery: false, logger });
      cleanUps.push(() => sessions.close());
      const [spoiled, ...others] = [
        await interrupted(store),
        await interrupted(store),
        await interrupted(store),
      ];
      await act(client, keyOf(spoiled));

      const page = await sessions.queries.listSessions({});
      expect(page.sessions).toHaveLength(listed);
      expect(page.sessions.map(({ sessionId }) => sessionId)).toEqual(expect.arrayContaining(others));
      expect(await sessions.recover()).toMatchObject({ sessions: 3, published: 2, complete: false });
      expect(await sessions.recover()).toMatchObject({ sessions: 1, published: 0, complete: false });
      expect(warnings.filter((sessionId) => sessionId === spoiled)).toHaveLength(2);
      for (const id of others) expect(await store.get(id)).toMatchObject({ status: 'committed' });
      expect(await client.zscore(index, spoiled)).not.toBeNull();

      await client.del(keyOf(spoiled), `${keyOf(spoiled)}:events`);
      expect(await sessions.recover()).toMatchObject({ sessions: 0, complete: true });
    },
  );

  test('sessions that cannot be read are due behind all others', async () => {
    const { store, client, keyOf, index } = prepare();
    const spoiled = [await interrupted(store), await interrupted(store), await interrupted(store)];
    for (const id of spoiled) await client.set(keyOf(id), 'x');
    const sound = await interrupted(store);
    await client.zadd(index, ...spoiled.flatMap((id, i) => [i + 1, id]));
    expect(await store.due(1)).toEqual([sound]);
    expect(await store.due(10)).toEqual([sound, ...spoiled]);
  });
});

test('a session whose server is away is not passed over', async () => {
  const replies = new Map<string, unknown>([
    [scripts.INDEX_PAGE.sha, ['s-1', '1']],
    [scripts.INDEX_DUE.sha, ['2', ['s-1', '1']]],
  ]);
  const evalsha = async (sha: string) => {
    const reply = replies.get(sha);
    if (reply === undefined) throw new Error('CLUSTERDOWN The cluster is down');
    return reply;
  };
  const store = redisStore({ client: { evalsha, eval: evalsha } });
  const away = { code: 'STORE_UNAVAILABLE', outcome: 'not_done' };
  await expect(store.list({ limit: 10 })).rejects.toMatchObject(away);
  await expect(store.due(10)).rejects.toMatchObject(away);
});

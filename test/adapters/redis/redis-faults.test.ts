import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEventSessionsError, type SessionStore } from 'event-sessions';
import { type RedisClient, redisStore } from 'event-sessions/redis';
import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis6';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createConnection } from '../../../src/adapters/redis/connection.js';
import { ownClient } from '../../../src/adapters/redis/own-client.js';
import type { Script } from '../../../src/adapters/redis/script.js';
import { EXTEND, INDEX_PUT, START } from '../../../src/adapters/redis/scripts.js';
import { createSessionIndex } from '../../../src/adapters/redis/session-index.js';
import { newId } from '../../../src/core/ids.js';
import {
  AT_ONCE,
  CAUSE,
  filled,
  LIMITS,
  newEvent,
  newSession,
  PATIENT,
  RETENTION,
  readAll,
  started,
} from '../../../src/testing/store-sessions.js';
import { type RunningRedis, startRedis, startRedisCluster } from '../../support/redis.js';
import { redisCommand } from '../../support/redis-node.js';
import { describeWith, needs } from '../../support/services.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function later<T>(value: T, cleanUp: (value: T) => unknown): T {
  cleanUps.push(() => cleanUp(value));
  return value;
}

async function ownServer(): Promise<RunningRedis> {
  return later(await startRedis(), (redis) => redis.stop());
}

function storeAt(url: string, options: { prefix?: string; deadlineMs?: number } = {}): SessionStore {
  return later(redisStore({ url, deadlineMs: 10_000, ...options }), (store) => store.close());
}

/** A server, a proxy before it, and a store that knows only the proxy. */
async function behindProxy(options: { deadlineMs?: number } = {}) {
  const own = await ownServer();
  const target = { host: '127.0.0.1', port: own.port };
  const proxy = later(await startTcpProxy(target), (p) => p.close());
  return { own, target, proxy, store: storeAt(`redis://127.0.0.1:${proxy.port}`, options) };
}

async function outcomeOf(act: Promise<unknown>): Promise<string> {
  try {
    await act;
    return 'done';
  } catch (error) {
    if (!isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
    return error.outcome ?? 'none';
  }
}

const SHA = '0123456789abcdef0123456789abcdef01234567';
const WITHIN = `ERR Error running script (call to f_${SHA}): @user_script:8: @user_script: 8: `;

describe('replies of Redis and errors of ioredis', () => {
  const refused = [
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
    'LOADING Redis is loading the dataset in memory',
    'NOREPLICAS Not enough good replicas to write.',
    'CLUSTERDOWN The cluster is down',
    'MASTERDOWN Link with MASTER is down',
    'NOAUTH Authentication required.',
    "Stream isn't writeable and enableOfflineQueue options is false",
    // Within a script, by Redis 6.0 and 6.2, and by Redis 7.
    `${WITHIN}-READONLY You can't write against a read only replica.`,
    `${WITHIN}-OOM command not allowed when used memory > 'maxmemory'.`,
    `${WITHIN}-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.`,
    `ERR Error running script (call to f_${SHA}): @user_script:1: OOM command not allowed when used memory > 'maxmemory'.`,
    `READONLY You can't write against a read only replica. script: ${SHA}, on @user_script:8.`,
    `OOM command not allowed when used memory > 'maxmemory'. script: ${SHA}, on @user_script:8.`,
  ];
  const unknown = [
    'Connection is closed.',
    'read ECONNRESET',
    'Command timed out',
    'ERR something new',
    'UNKILLABLE',
    'ERR READONLY',
    ' READONLY',
    'READONLYISH',
    // Some of the script may have been carried out.
    `${WITHIN}-NOPERM this user has no permissions to run the 'hset' command or its subcommand`,
    `${WITHIN}-WRONGTYPE Operation against a key holding the wrong kind of value`,
    `${WITHIN}a script that says -READONLY`,
    `${WITHIN}--READONLY`,
    `ERR Error running script (call to f_${SHA}): -READONLY`,
    'ERR Error running script (call to f_zz): @user_script:8: @user_script: 8: -READONLY',
    `ERR Error compiling script (new function): user_script:8: -OOM`,
    `x ${WITHIN}-OOM`,
  ];
  test.each([...refused.map((m) => [m, 'not_done']), ...unknown.map((m) => [m, 'unknown'])])(
    '%s → %s',
    async (message, outcome) => {
      const fail = async () => {
        throw new Error(message);
      };
      const store = redisStore({ client: { evalsha: fail, eval: fail } });
      expect(await outcomeOf(store.rollback('s-1', RETENTION))).toBe(outcome);
    },
  );

  test('G7: a client that never answers ends at the deadline, as unknown', async () => {
    const never = () => new Promise<never>(() => {});
    const store = redisStore({ client: { evalsha: never, eval: never }, deadlineMs: 20 });
    expect(await outcomeOf(store.rollback('s-1', RETENTION))).toBe('unknown');
  });
});

describe('options', () => {
  test.each([
    [{}, /either a url or a client/],
    [{ url: 'redis://127.0.0.1', client: { evalsha() {}, eval() {} } }, /either a url or a client/],
    [{ url: 'http://127.0.0.1' }, /url: expected a redis:\/\/ or rediss:\/\/ URL, as .*, got "http/],
    [{ url: 'redis://u:secret@h:port' }, /got "redis:\/\/u:\*\*\*@h:port"/],
    [{ client: {} }, /client: expected an ioredis Redis or Cluster/],
    [{ url: 'redis://h', prefix: 'a{b}' }, /prefix: expected text of/],
    [{ url: 'redis://h', deadlineMs: 0 }, /deadlineMs: expected a whole number/],
    [{ url: 'redis://h', deadline: 5 }, /deadline: is not an option/],
  ])('%j', (options, message) => {
    expect(() => redisStore(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(message) }),
    );
  });
});

describeWith('redis', ({ url }) => {
  test('keys of a session share a slot, live a grace period longer than it, and none while it commits', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `ttl-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 2);
    const keys = [
      `${prefix}:{${sessionId}}`,
      `${prefix}:{${sessionId}}:events`,
      `${prefix}:{${sessionId}}:ids`,
    ];
    const ttls = () => Promise.all(keys.map((key) => client.pttl(key)));
    const day = 86_400_000;
    for (const ttl of await ttls()) expect(ttl).toBeGreaterThan(day);
    const grant = await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    expect(grant.outcome).toBe('granted');
    expect(await ttls()).toEqual([-1, -1, -1]);
    const receipt = {
      sessionId,
      status: 'committed',
      events: 2,
      published: 2,
      deferred: 0,
      durationMs: 1,
    } as const;
    await store.finishCommit(sessionId, {
      epoch: 1,
      cursor: 2,
      deferred: 0,
      receipt,
      retentionMs: 5_000,
      cause: CAUSE,
    });
    for (const ttl of await ttls()) {
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(5_000);
    }
    expect((await client.keys(`${prefix}:*`)).every((key) => keys.includes(key))).toBe(true);
  });

  test('an add keeps at least half of the grace period, however long the one before lies back', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `grace-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 1);
    const key = `${prefix}:{${sessionId}}`;
    const keys = [key, `${key}:events`, `${key}:ids`];
    const { expiresAt = 0 } = (await store.get(sessionId)) ?? {};
    const hour = 3_600_000;
    // As an add leaves it that came when the grace was all but used up.
    await client.hset(key, 'keepUntil', expiresAt + hour);
    for (const name of keys) await client.pexpireat(name, expiresAt + hour);
    await store.append(sessionId, [newEvent(sessionId)], LIMITS);
    for (const name of keys) expect(await client.pttl(name)).toBeGreaterThan(12 * hour);
  });

  test.each(['events', 'ids'])(
    'G5: a session whose %s were evicted is corrupt, and nothing is granted',
    async (part) => {
      const client = later(new Redis(url), (redis) => redis.disconnect());
      const prefix = `evicted-${newId()}`;
      const store = storeAt(url, { prefix });
      const { sessionId } = await filled(store, 3);
      await client.del(`${prefix}:{${sessionId}}:${part}`);
      const outcome = await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 1_000, cause: CAUSE });
      expect(outcome).toEqual({ outcome: 'corrupt', counted: 3, found: 0 });
      expect((await store.get(sessionId))?.status).toBe('open');
    },
  );

  test.each([1, 2, 5_000])(
    'an append of %i that fails within the script leaves nothing, and can be repeated',
    async (count) => {
      const client = later(new Redis(url), (redis) => redis.disconnect());
      const prefix = `foreign-${newId()}`;
      const store = storeAt(url, { prefix });
      const sessionId = await started(store);
      const events = Array.from({ length: count }, () => newEvent(sessionId));
      const list = `${prefix}:{${sessionId}}:events`;
      await client.set(list, 'not a list');
      await expect(store.append(sessionId, events, LIMITS)).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('WRONGTYPE'),
      });
      const ids = events.map(({ id }) => id);
      expect(await store.contains(sessionId, ids)).toEqual(ids.map(() => false));
      await client.del(list);
      expect(await store.append(sessionId, events, LIMITS)).toMatchObject({ duplicates: [], events: count });
      expect((await store.get(sessionId))?.events).toBe(count);
    },
  );

  test('what is sent behind an append is carried out behind it, whatever ids the append has', async () => {
    const store = storeAt(url, { prefix: `order-${newId()}` });
    const sessionId = await started(store);
    const append = (...ids: string[]) =>
      store.append(
        sessionId,
        ids.map((id) => newEvent(sessionId, { id })),
        LIMITS,
      );
    await append('other');
    await append('n-5');
    const below = append('n-3', 'n-4', 'n-5');
    await new Promise(process.nextTick);
    const next = append('later');
    await new Promise(process.nextTick);
    const last = append('n-2');
    const commit = store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    expect(await Promise.all([below, next, last, commit])).toMatchObject([
      { outcome: 'appended', duplicates: [2], events: 4 },
      { outcome: 'appended', duplicates: [], events: 5 },
      { outcome: 'appended', duplicates: [], events: 6 },
      { outcome: 'granted', events: 6 },
    ]);
    const ids = (await readAll(store, sessionId)).map((json) => JSON.parse(json).id);
    expect(ids).toEqual(['other', 'n-5', 'n-3', 'n-4', 'later', 'n-2']);
  });

  test('an index entry whose session is gone, or has ended, is not named and does not stay', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const ended = await started(store);
    await store.rollback(ended, RETENTION);
    const expired = await started(store);
    await store.extend(expired, 1);
    await expect.poll(async () => (await store.expire(expired, AT_ONCE)).outcome).toBe('expired');
    await client.zadd(`${prefix}:index`, 1, 'long-gone', 1, ended, 1, expired);
    expect(await store.due(10)).toEqual([]);
    expect(await client.zcard(`${prefix}:index`)).toBe(0);
  });

  test('an overdue session in its grace is not looked at again and again', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 1);
    await store.extend(sessionId, 1);
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
    await store.expire(sessionId, { ...RETENTION, graceMs: 600_000 });
    expect(await store.due(10)).toEqual([]);
    const score = Number(await client.zscore(`${prefix}:index`, sessionId));
    expect(score).toBeGreaterThan(Date.now() + 300_000);
    expect(score).toBeLessThan(Date.now() + 900_000);
  });

  test('a grace holds for one expiry only: a session that runs out again has another', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 1);
    await store.extend(sessionId, 1);
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
    expect((await store.expire(sessionId, { ...RETENTION, graceMs: 1 })).outcome).toBe('not_due');
    // As after a failover to a server whose clock is behind: it has not run out yet.
    await client.hset(`${prefix}:{${sessionId}}`, 'expiresAt', Date.now() + 60_000);
    await store.extend(sessionId, 1);
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
    expect((await store.expire(sessionId, PATIENT)).outcome).toBe('not_due');
    expect(await store.due(10)).toEqual([]);
  });

  test('a commit whose session had lost its index entry is found when its lease is over', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 1);
    await client.del(`${prefix}:index`);
    await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 1, cause: CAUSE });
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
  });

  /** What a client sends of a script is not done, or done without an answer, as long as `fails` says so. */
  function failing(redis: Redis, script: Script, fails: () => 'not done' | 'done' | undefined): RedisClient {
    const send = async (text: string, command: () => Promise<unknown>) => {
      const failure = text === script.sha || text === script.lua ? fails() : undefined;
      const reply = failure === 'not done' ? undefined : await command();
      if (failure !== undefined) throw new Error('Connection is closed.');
      return reply;
    };
    return {
      evalsha: (sha, ...rest) => send(sha, () => redis.evalsha(sha, ...rest)),
      eval: (lua, ...rest) => send(lua, () => redis.eval(lua, ...rest)),
    };
  }

  test('a commit that the index was not told of is unknown, and granted when it is asked for again', async () => {
    const redis = later(new Redis(url), (client) => client.disconnect());
    const prefix = `index-${newId()}`;
    const { sessionId } = await filled(storeAt(url, { prefix }), 1);
    let failure: 'not done' | undefined = 'not done';
    const store = redisStore({ client: failing(redis, INDEX_PUT, () => failure), prefix });
    const attempt = { attemptId: 'a', leaseMs: 1, cause: CAUSE };
    expect(await outcomeOf(store.beginCommit(sessionId, attempt))).toBe('unknown');
    expect((await store.get(sessionId))?.status).toBe('committing');
    failure = undefined;
    expect(await store.beginCommit(sessionId, attempt)).toMatchObject({ outcome: 'granted', epoch: 1 });
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
  });

  test.each(['not done', 'done'] as const)(
    'a start that fails, and was %s, is found out to be so at the next look',
    async (failure) => {
      const redis = later(new Redis(url), (client) => client.disconnect());
      const prefix = `index-${newId()}`;
      const store = storeAt(url, { prefix });
      const session = newSession();
      const cut = redisStore({ client: failing(redis, START, () => failure), prefix });
      expect(await outcomeOf(cut.start(session))).toBe('unknown');
      const score = async () => Number(await redis.zscore(`${prefix}:index`, session.sessionId));
      await expect.poll(async () => (await score()) <= Date.now()).toBe(true);
      // Later than its session can still begin.
      if (failure === 'not done') await redis.zadd(`${prefix}:index`, 'XX', 1, session.sessionId);
      expect(await store.due(10)).toEqual([]);
      expect(await store.countActive()).toBe(failure === 'done' ? 1 : 0);
      expect((await score()) > Date.now()).toBe(failure === 'done');
    },
  );

  test('a commit of a session that nobody knows leaves no index entry, unless the session begins meanwhile', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const attempt = { attemptId: 'a', leaseMs: 60_000, cause: CAUSE };
    expect(await store.beginCommit('unknown', attempt)).toEqual({ outcome: 'not_found' });
    expect(await client.zcard(`${prefix}:index`)).toBe(0);

    const connection = later(createConnection(ownClient(url, 10_000), 10_000), (c) => c.close());
    const index = createSessionIndex(connection, `${prefix}:index`);
    for (const [lease, ttl] of [
      [60_000, 600_000],
      [600_000, 60_000],
    ] as const) {
      const session = newSession({ ttlMs: ttl });
      const undo = await index.hasten(session.sessionId, lease);
      await store.start(session);
      await undo?.();
      expect(await client.zscore(`${prefix}:index`, session.sessionId)).not.toBeNull();
    }
  });

  test('a commit of a session that was rolled back leaves no index entry', async () => {
    const store = storeAt(url, { prefix: `index-${newId()}` });
    const sessionId = await started(store);
    await store.rollback(sessionId, RETENTION);
    const attempt = { attemptId: 'a', leaseMs: 60_000, cause: CAUSE };
    expect(await store.beginCommit(sessionId, attempt)).toEqual({
      outcome: 'not_open',
      status: 'rolled_back',
    });
    expect(await store.countActive()).toBe(0);
  });

  test('a start of a session that has ended leaves no index entry, and one of any other sees to it that there is one', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const startAgain = (sessionId: string) => store.start(newSession({ sessionId, ttlMs: 600_000 }));
    const [rolledBack, expired, overdue, open, committing] = [
      await started(store),
      await started(store),
      await started(store),
      await started(store),
      await started(store),
    ];
    await store.rollback(rolledBack, RETENTION);
    for (const sessionId of [expired, overdue]) {
      await store.extend(sessionId, 1);
      await expect.poll(async () => (await store.get(sessionId))?.status).toBe('expired');
    }
    expect((await store.expire(expired, { ...RETENTION, graceMs: 0 })).outcome).toBe('expired');
    await store.beginCommit(committing, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    await client.del(`${prefix}:index`);

    expect(await startAgain(rolledBack)).toEqual({ outcome: 'exists', status: 'rolled_back' });
    expect(await startAgain(expired)).toEqual({ outcome: 'exists', status: 'expired' });
    expect(await store.countActive()).toBe(0);
    expect(await startAgain(overdue)).toEqual({ outcome: 'exists', status: 'expired' });
    expect(await startAgain(open)).toEqual({ outcome: 'exists', status: 'open' });
    expect(await startAgain(committing)).toEqual({ outcome: 'exists', status: 'committing' });
    const entries = await client.zrange(`${prefix}:index`, 0, -1);
    expect(entries.sort()).toEqual([overdue, open, committing].sort());

    // One that was there, as a start leaves it whose answer was lost, goes with the next look at it.
    await client.zadd(`${prefix}:index`, Date.now() + 600_000, rolledBack);
    await startAgain(rolledBack);
    await store.due(10);
    expect(await client.zscore(`${prefix}:index`, rolledBack)).toBeNull();
  });

  test('a commit that is repeated when it is done leaves no index entry', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const prefix = `index-${newId()}`;
    const store = storeAt(url, { prefix });
    const { sessionId } = await filled(store, 0);
    const attempt = { attemptId: 'a', leaseMs: 60_000, cause: CAUSE };
    await store.beginCommit(sessionId, attempt);
    const receipt = {
      sessionId,
      status: 'committed',
      events: 0,
      published: 0,
      deferred: 0,
      durationMs: 1,
    } as const;
    await store.finishCommit(sessionId, { epoch: 1, cursor: 0, deferred: 0, receipt, ...RETENTION });
    expect((await store.beginCommit(sessionId, attempt)).outcome).toBe('committed');
    expect(await client.zcard(`${prefix}:index`)).toBe(0);
  });

  test.each(['beginCommit', 'advance'] as const)(
    'whoever learns by %s that its commit was finished by another reads the next session of that id as it is',
    async (command) => {
      const client = later(new Redis(url), (redis) => redis.disconnect());
      const prefix = `lost-${newId()}`;
      const [store, other] = [storeAt(url, { prefix }), storeAt(url, { prefix })];
      const session = newSession();
      const { sessionId } = session;
      await store.start(session);
      for (let i = 0; i < 4; i += 1) await store.append(sessionId, [newEvent(sessionId)], LIMITS);
      const attempt = { attemptId: 'a', leaseMs: 1, cause: CAUSE };
      await store.beginCommit(sessionId, attempt);
      await store.read(sessionId, { after: 0, limit: 2, maxBytes: 10_000 });

      const takeOver = { attemptId: 'b', leaseMs: 60_000, cause: CAUSE };
      await expect.poll(async () => (await other.beginCommit(sessionId, takeOver)).outcome).toBe('granted');
      const counts = { events: 4, published: 4, deferred: 0, durationMs: 1 };
      const receipt = { sessionId, status: 'committed', ...counts } as const;
      await other.finishCommit(sessionId, { epoch: 2, cursor: 4, deferred: 0, receipt, ...RETENTION });
      const { outcome } = await (command === 'beginCommit'
        ? store.beginCommit(sessionId, attempt)
        : store.advance(sessionId, { epoch: 1, cursor: 2, deferred: 0, leaseMs: 60_000 }));
      expect(outcome).toBe(command === 'beginCommit' ? 'committed' : 'stale');

      await client.del(`${prefix}:{${sessionId}}`, `${prefix}:{${sessionId}}:events`);
      await client.del(`${prefix}:{${sessionId}}:ids`);
      await other.start(session);
      const events = Array.from({ length: 6 }, (_, i) =>
        newEvent(sessionId, { id: `in-one-element-${i + 1}` }),
      );
      await other.append(sessionId, events, LIMITS);
      const page = await store.read(sessionId, { after: 2, limit: 10, maxBytes: 10_000 });
      expect(page.map(({ sequence }) => sequence)).toEqual([3, 4, 5, 6]);
    },
  );

  describe('between a look at a session and the correction of its entry', () => {
    /** `due()` over an entry that is long overdue; `meanwhile` runs when it has read the session. */
    async function dueWhile(store: SessionStore, prefix: string, meanwhile: () => Promise<unknown>) {
      const connection = later(createConnection(ownClient(url, 10_000), 10_000), (c) => c.close());
      const index = createSessionIndex(connection, `${prefix}:index`);
      return index.due(async (sessionId) => {
        const read = await store.get(sessionId);
        await meanwhile();
        return read;
      }, 10);
    }

    test('a session that begins keeps its entry', async () => {
      const client = later(new Redis(url), (redis) => redis.disconnect());
      const prefix = `race-${newId()}`;
      const store = storeAt(url, { prefix });
      const session = newSession();
      await client.zadd(`${prefix}:index`, 1, session.sessionId);
      expect(await dueWhile(store, prefix, () => store.start(session))).toEqual([]);
      expect(await client.zscore(`${prefix}:index`, session.sessionId)).not.toBeNull();
    });

    test('a commit that begins is found when its lease is over', async () => {
      const client = later(new Redis(url), (redis) => redis.disconnect());
      const prefix = `race-${newId()}`;
      const store = storeAt(url, { prefix });
      const sessionId = await started(store, { ttlMs: 600_000 });
      await client.zadd(`${prefix}:index`, 1, sessionId);
      const attempt = { attemptId: 'a', leaseMs: 1, cause: CAUSE };
      expect(await dueWhile(store, prefix, () => store.beginCommit(sessionId, attempt))).toEqual([]);
      await expect.poll(() => store.due(10)).toEqual([sessionId]);
    });
  });

  test('a session that is extended to an earlier expiry is found then', async () => {
    const store = storeAt(url, { prefix: `index-${newId()}` });
    const sessionId = await started(store, { ttlMs: 500 });
    await store.extend(sessionId, 600_000);
    await store.extend(sessionId, undefined);
    await expect.poll(() => store.due(10)).toEqual([sessionId]);
  });

  test('a session that is extended to an earlier expiry is found then, though the process died right behind it', async () => {
    const redis = later(new Redis(url), (client) => client.disconnect());
    let dead = false;
    const send = async (script: string, command: () => Promise<unknown>) => {
      if (dead) throw new Error('Connection is closed.');
      const reply = await command();
      dead ||= script === EXTEND.sha || script === EXTEND.lua;
      return reply;
    };
    const client: RedisClient = {
      evalsha: (sha, ...rest) => send(sha, () => redis.evalsha(sha, ...rest)),
      eval: (lua, ...rest) => send(lua, () => redis.eval(lua, ...rest)),
    };
    const prefix = `index-${newId()}`;
    const sessionId = await started(storeAt(url, { prefix }), { ttlMs: 600_000 });
    await redisStore({ client, prefix }).extend(sessionId, 1);
    await expect.poll(() => storeAt(url, { prefix }).due(10)).toEqual([sessionId]);
  });

  test('a flushed script cache is filled again', async () => {
    const own = await ownServer();
    const client = later(new Redis(own.url), (redis) => redis.disconnect());
    const store = storeAt(own.url);
    const { sessionId } = await filled(store, 1);
    await client.script('FLUSH');
    await store.append(sessionId, [newEvent(sessionId)], LIMITS);
    expect(await readAll(store, sessionId)).toHaveLength(2);
  });

  test('G1: when the reply is lost the append is unknown, and repeating it adds nothing twice', async () => {
    const { proxy, store } = await behindProxy();
    const sessionId = await started(store);
    const event = newEvent(sessionId);
    await store.append(sessionId, [newEvent(sessionId)], LIMITS);
    proxy.mode = 'cut after request';
    expect(await outcomeOf(store.append(sessionId, [event], LIMITS))).toBe('unknown');
    proxy.mode = 'pass';
    expect(await store.append(sessionId, [event], LIMITS)).toEqual({
      outcome: 'appended',
      duplicates: [0],
      events: 2,
    });
  });

  test('an append that is under way when its session runs out is refused, whatever its writer knew of the session', async () => {
    const { own, proxy, store } = await behindProxy();
    const other = storeAt(own.url);
    const sessionId = await started(store, { ttlMs: 1_000 });
    await store.append(sessionId, [newEvent(sessionId, { id: 'w-1' })], LIMITS);
    proxy.mode = 'stall';
    const late = store.append(sessionId, [newEvent(sessionId, { id: 'w-2' })], LIMITS);
    await expect.poll(async () => (await other.get(sessionId))?.status, { timeout: 5_000 }).toBe('expired');
    proxy.mode = 'pass';
    expect(await late).toEqual({ outcome: 'not_open', status: 'expired' });
    expect((await other.get(sessionId))?.events).toBe(1);
  });

  test.each([
    [
      '5',
      (options: { port: number; retryStrategy: () => number }) =>
        new Redis({ host: '127.0.0.1', ...options }),
    ],
    [
      '6',
      (options: { port: number; retryStrategy: () => number }) =>
        new Redis6({ host: '127.0.0.1', ...options }),
    ],
  ])(
    'what ioredis %s sends again, since the reply was lost, is not taken for not done when it is refused then',
    async (_, connect) => {
      const { own, proxy } = await behindProxy();
      const direct = later(new Redis(own.url), (redis) => redis.disconnect());
      const client = later(connect({ port: proxy.port, retryStrategy: () => 500 }), (c) => c.disconnect());
      client.on('error', () => {});
      const store = redisStore({ client, deadlineMs: 10_000 });
      const { sessionId } = await filled(store, 1);
      proxy.mode = 'cut after request';
      const append = outcomeOf(store.append(sessionId, [newEvent(sessionId)], LIMITS));
      await expect.poll(async () => (await storeAt(own.url).get(sessionId))?.events).toBe(2);
      await direct.replicaof('127.0.0.1', '1');
      proxy.mode = 'pass';
      expect(await append).toBe('unknown');
    },
  );

  test('a stalled server ends at the deadline as unknown, and the same store goes on when it wakes', async () => {
    const own = await ownServer();
    const store = storeAt(own.url, { deadlineMs: 500 });
    const sessionId = await started(store);
    own.signal('SIGSTOP');
    const event = newEvent(sessionId);
    const outcome = await outcomeOf(store.append(sessionId, [event], LIMITS));
    own.signal('SIGCONT');
    expect(outcome).toBe('unknown');
    await expect.poll(async () => outcomeOf(store.append(sessionId, [event], LIMITS))).toBe('done');
    expect(await readAll(store, sessionId)).toHaveLength(1);
  });

  test('a connection that died without a word is given up with all in flight on it, and the next command makes another', async () => {
    const { proxy, store } = await behindProxy({ deadlineMs: 1_000 });
    const sessionId = await started(store);
    const events = Array.from({ length: 5 }, () => newEvent(sessionId));
    proxy.forget();
    const outcomes = await Promise.all(
      events.map((event) => outcomeOf(store.append(sessionId, [event], LIMITS))),
    );
    expect(outcomes).toEqual(events.map(() => 'unknown'));
    await expect.poll(() => outcomeOf(store.append(sessionId, events, LIMITS))).toBe('done');
    expect(await readAll(store, sessionId)).toHaveLength(5);
    expect(proxy.accepted).toBeGreaterThan(1);
  });

  test('a connection on which answers still come in is kept, though one takes longer than the deadline', async () => {
    const { proxy, store } = await behindProxy({ deadlineMs: 1_000 });
    const sessionId = await started(store);
    const event = newEvent(sessionId, { data: 'x'.repeat(100_000) });
    await store.append(sessionId, [event], LIMITS);
    proxy.mode = 'trickle';
    expect(await outcomeOf(readAll(store, sessionId))).toBe('unknown');
    proxy.mode = 'pass';
    await expect.poll(() => outcomeOf(readAll(store, sessionId))).toBe('done');
    expect(proxy.accepted).toBe(1);
  });

  test('a connection that is made but never gets ready is given up, and the next command tries again', async () => {
    const { proxy, store } = await behindProxy({ deadlineMs: 500 });
    proxy.mode = 'mute';
    const sessions = [newSession(), newSession()];
    const outcomes = await Promise.all(sessions.map((session) => outcomeOf(store.start(session))));
    expect(outcomes).toEqual(['not_done', 'not_done']);
    expect(proxy.accepted).toBe(1);
    proxy.mode = 'pass';
    await expect.poll(() => outcomeOf(store.start(newSession()))).toBe('done');
    expect(proxy.accepted).toBeGreaterThan(1);
  });

  test('a server that is not there is not_done, and the same store goes on when it is back', async () => {
    const own = await ownServer();
    const store = storeAt(own.url);
    await started(store);
    own.signal('SIGKILL');
    await expect.poll(() => outcomeOf(store.ping())).not.toBe('done');
    expect(await outcomeOf(store.start(newSession()))).toMatch(/not_done|unknown/);
    expect(await outcomeOf(store.start(newSession()))).toBe('not_done');
    expect(await outcomeOf(store.ping())).toBe('not_done');
    await own.restart();
    expect(await outcomeOf(store.start(newSession()))).toBe('done');
  });

  test('a full server refuses the whole append, as not_done', async () => {
    const own = await ownServer();
    const client = later(new Redis(own.url), (redis) => redis.disconnect());
    const store = storeAt(own.url);
    const { sessionId } = await filled(store, 1);
    await client.config('SET', 'maxmemory', '1');
    const many = Array.from({ length: 10 }, () => newEvent(sessionId));
    expect(await outcomeOf(store.append(sessionId, many, LIMITS))).toBe('not_done');
    await client.config('SET', 'maxmemory', '0');
    expect(await readAll(store, sessionId)).toHaveLength(1);
    expect(await store.append(sessionId, many, LIMITS)).toMatchObject({ outcome: 'appended', events: 11 });
  });

  test('a replica refuses, as not_done', async () => {
    const own = await ownServer();
    const client = later(new Redis(own.url), (redis) => redis.disconnect());
    const store = storeAt(own.url);
    const sessionId = await started(store);
    await client.config('SET', 'replica-serve-stale-data', 'yes');
    await client.replicaof('127.0.0.1', '1');
    expect(await outcomeOf(store.append(sessionId, [newEvent(sessionId)], LIMITS))).toBe('not_done');
    await client.replicaof('NO', 'ONE');
    expect(await outcomeOf(store.append(sessionId, [newEvent(sessionId)], LIMITS))).toBe('done');
  });

  test('a master that has become a replica is left, and the next command finds the new one behind the same address', async () => {
    const { own, target, store } = await behindProxy();
    const other = await ownServer();
    await started(store);
    const client = later(new Redis(own.url), (redis) => redis.disconnect());
    await client.replicaof('127.0.0.1', other.port);
    target.port = other.port;
    expect(await outcomeOf(store.start(newSession()))).toBe('not_done');
    expect(await outcomeOf(store.start(newSession()))).toBe('done');
  });

  test.each([
    ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
    ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    [
      'NOREPLICAS',
      ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
      ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
    ],
  ])(
    'ping is refused when a write would be: %s',
    async (code, [cause = '', ...causes], [cure = '', ...cures]) => {
      const own = await ownServer();
      const store = storeAt(own.url);
      await store.ping();
      await redisCommand(own.port, cause, ...causes);
      await expect(store.ping()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        outcome: 'not_done',
        message: expect.stringContaining(code),
      });
      await redisCommand(own.port, cure, ...cures);
      await store.ping();
    },
  );

  test('ping is refused when a write would be: MISCONF, its disk is gone', async () => {
    const dir = later(await mkdtemp(join(tmpdir(), 'event-sessions-no-disk-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const own = later(await startRedis({ dir }), (redis) => redis.stop());
    const store = storeAt(own.url);
    await store.ping();
    await redisCommand(own.port, 'CONFIG', 'SET', 'save', '3600 1');
    await rm(dir, { recursive: true });
    await redisCommand(own.port, 'BGSAVE');
    await expect
      .poll(() => store.ping().then(String, (error) => `${error.outcome}: ${error.message}`))
      .toMatch(/^not_done: .*MISCONF/);
  });

  test('ping changes nothing', async () => {
    const own = await ownServer();
    const store = storeAt(own.url);
    await store.ping();
    expect(await redisCommand(own.port, 'DBSIZE')).toBe(0);
  });

  test('G8: nothing is said on the console where INFO is forbidden', async () => {
    const own = await ownServer();
    await redisCommand(own.port, 'ACL', 'SETUSER', 'default', '-info');
    const warn = later(vi.spyOn(console, 'warn'), (spy) => spy.mockRestore());
    await storeAt(own.url).ping();
    expect(warn).not.toHaveBeenCalled();
  });

  test('G8: a client that was handed in stays open', async () => {
    const client = later(new Redis(url), (redis) => redis.disconnect());
    const store = redisStore({ client });
    await store.ping();
    await store.close();
    expect(await client.ping()).toBe('PONG');
  });

  test('G8: a client of our own makes no connection once the store is closed', async () => {
    const { proxy, store } = await behindProxy();
    const unused = storeAt(`redis://127.0.0.1:${proxy.port}`);
    await store.ping();
    await Promise.all([store.close(), unused.close()]);
    // Its connection takes some turns to end.
    for (let i = 0; i < 100; i += 1) {
      expect(await outcomeOf(store.start(newSession()))).toBe('not_done');
      expect(await outcomeOf(unused.start(newSession()))).toBe('not_done');
      await new Promise(setImmediate);
    }
    expect(proxy.accepted).toBe(1);
  });

  test.each([
    ['slave', false],
    ['all', false],
    [() => undefined, false],
    ['master', true],
    [undefined, true],
  ])(
    'a commit through a client with scaleReads: %s takes plain reads for what it publishes: %s',
    async (scaleReads, plain) => {
      const redis = later(new Redis(url), (client) => client.disconnect());
      let reads = 0;
      const client: RedisClient = {
        evalsha: (...args) => redis.evalsha(...args),
        eval: (...args) => redis.eval(...args),
        lrangeBuffer: (...args) => {
          reads += 1;
          // A replica that lags behind has nothing of it yet.
          return plain ? redis.lrangeBuffer(...args) : Promise.resolve([]);
        },
        options: { scaleReads },
      };
      const store = redisStore({ client, prefix: `replicas-${newId()}` });
      const { sessionId, events } = await filled(store, 3);
      await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
      expect(await readAll(store, sessionId)).toEqual(events.map(({ json }) => json));
      expect(reads > 0).toBe(plain);
    },
  );

  test('concurrent first commands share one connection', async () => {
    const own = await ownServer();
    const store = storeAt(own.url);
    await Promise.all(Array.from({ length: 50 }, () => started(store)));
    const client = later(new Redis(own.url), (redis) => redis.disconnect());
    const clients = String(await client.client('LIST'))
      .trim()
      .split('\n');
    expect(clients).toHaveLength(2);
  });
});

test('G8: an idle client of our own does not hold the process', needs('redis'), async () => {
  const own = await ownServer();
  const script = `
    import { createEventSessions } from 'event-sessions';
    import { redisStore } from 'event-sessions/redis';
    const sessions = createEventSessions({ store: redisStore({ url: '${own.url}' }) });
    const session = await sessions.startSession();
    await session.add('a', 1);
    console.log((await session.commit()).status);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: 'pipe',
  });
  cleanUps.push(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'exit');
  expect(output.trim()).toBe('committed');
  expect(code).toBe(0);
});

test(
  'what a Cluster has sent to masters that are gone is not taken for not done',
  needs('cluster'),
  async () => {
    const cluster = later(await startRedisCluster(), (servers) => servers.stop());
    const stores = await Promise.all(
      [Cluster, Cluster6].map(async (Client) => {
        const client = later(new Client([...cluster.nodes], { enableOfflineQueue: false }), (c) =>
          c.disconnect(),
        );
        client.on('error', () => {});
        await once(client, 'ready');
        const store = redisStore({ client, deadlineMs: 10_000 });
        return { store, sessionId: await started(store) };
      }),
    );
    for (const server of cluster.servers) server.signal('SIGSTOP');
    const outcomes = stores.map(({ store, sessionId }) => outcomeOf(store.rollback(sessionId, RETENTION)));
    await new Promise(setImmediate);
    for (const server of cluster.servers) server.signal('SIGKILL');
    expect(await Promise.all(outcomes)).toEqual(['unknown', 'unknown']);
  },
);

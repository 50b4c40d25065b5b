import { createEventSessions, type EventSessions, memoryContingency, memoryPublisher } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { describe, expect, test, vi } from 'vitest';
import { openSessions } from '../support/open-sessions.js';
import { describeWithAll } from '../support/services.js';
import { waitFor } from '../support/wait-for.js';
import { instance } from './instance.js';

/** Everything that can be called, from the instance and from a handle that was there before. */
function calls(sessions: EventSessions): Record<string, () => Promise<unknown>> {
  const session = sessions.session('s-1');
  const sessionId = 's-1';
  return {
    startSession: () => sessions.startSession(),
    transaction: () => sessions.transaction(() => {}),
    recover: () => sessions.recover(),
    metrics: () => sessions.metrics(),
    health: () => sessions.health(),
    'commands.startSession': () => sessions.commands.startSession(),
    'commands.addEvents': () => sessions.commands.addEvents({ sessionId, events: [{ type: 'a', data: 1 }] }),
    'commands.commitSession': () => sessions.commands.commitSession({ sessionId }),
    'commands.rollbackSession': () => sessions.commands.rollbackSession({ sessionId }),
    'commands.extendSession': () => sessions.commands.extendSession({ sessionId }),
    'queries.getSessionStatus': () => sessions.queries.getSessionStatus({ sessionId }),
    'queries.getSessionEvents': () => sessions.queries.getSessionEvents({ sessionId }),
    'queries.listSessions': () => sessions.queries.listSessions(),
    'queries.getMetrics': () => sessions.queries.getMetrics(),
    'session.add': () => session.add('a', 1),
    'session.addMany': () => session.addMany([{ type: 'a', data: 1 }]),
    'session.commit': () => session.commit(),
    'session.rollback': () => session.rollback(),
    'session.status': () => session.status(),
    'session.events': () => session.events(),
    'session.extend': () => session.extend(),
    'session[Symbol.asyncDispose]': () => session[Symbol.asyncDispose](),
  };
}

describe('after close', () => {
  test('every call rejects with CLOSED, and nothing has changed', async () => {
    const { sessions, store } = instance();
    await sessions.startSession({ sessionId: 's-1' });
    const before = await store.get('s-1');
    const all = calls(sessions);
    await sessions.close();
    for (const [name, call] of Object.entries(all)) {
      await expect(call(), name).rejects.toMatchObject({ name: 'EventSessionsError', code: 'CLOSED' });
    }
    expect(await store.get('s-1')).toEqual(before);
    expect((await store.list({ limit: 10 })).sessions).toHaveLength(1);
  });

  test('the list of calls above is complete', () => {
    const { sessions } = instance();
    const names = [
      ...Object.keys(sessions).filter(
        (name) => !['commands', 'queries', 'session', 'instanceId'].includes(name),
      ),
      ...Object.keys(sessions.commands).map((name) => `commands.${name}`),
      ...Object.keys(sessions.queries).map((name) => `queries.${name}`),
      ...Object.keys(sessions.session('s-1'))
        .filter((name) => name !== 'id')
        .map((name) => `session.${name}`),
    ];
    const notAsync = ['on', 'once', 'off', 'close'];
    const symbols = ['session[Symbol.asyncDispose]'];
    expect(Object.keys(calls(sessions)).sort()).toEqual(
      [...names.filter((name) => !notAsync.includes(name)), ...symbols].sort(),
    );
  });

  test('listeners may still come and go, and close may be repeated', async () => {
    const { sessions } = instance();
    await Promise.all([sessions.close(), sessions.close()]);
    const listener = () => {};
    sessions.on('session.started', listener);
    sessions.once('session.started', listener);
    sessions.off('session.started', listener);
    await sessions.close();
    await sessions[Symbol.asyncDispose]();
  });
});

/** A log with an event that the broker is owed, and a publisher that takes it when it is told to. */
async function owing() {
  const order: string[] = [];
  const broker = { down: true };
  let publish = () => {};
  const taken = new Promise<void>((resolve) => {
    publish = resolve;
  });
  const memory = memoryPublisher({
    onPublish: async () => {
      if (broker.down) throw new Error('the broker is down');
      order.push('publishing');
      await taken;
      order.push('published');
    },
  });
  const publisher = { ...memory, close: async () => void order.push('publisher closed') };
  const memoryLog = memoryContingency();
  const log = { ...memoryLog, close: async () => {} };
  const { sessions, store } = instance({ publisher: memory, contingency: log, commit: { retries: 0 } });
  await sessions.startSession({ sessionId: 's-2' });
  const session = await sessions.startSession({ sessionId: 's-1' });
  await session.add('a', 1);
  expect(await session.commit()).toMatchObject({ deferred: 1 });
  broker.down = false;
  return { sessions, store, log, publisher, order, publish };
}

describe('closing', () => {
  test('waits for what is under way, stops a commit between batches, and only then closes the adapters', async () => {
    const order: string[] = [];
    const memory = memoryPublisher({
      onPublish: async () => {
        order.push('batch');
        if (order.length === 1) closed = sessions.close().then(() => void order.push('closed'));
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    const publisher = {
      ...memory,
      async close() {
        order.push('publisher closed');
      },
    };
    let closed: Promise<void> | undefined;
    const { sessions, store } = instance({ publisher, commit: { batchEvents: 1, inFlight: 1 } });
    const session = await sessions.startSession();
    await session.addMany(Array.from({ length: 5 }, (_, i) => ({ type: 'a', data: i })));
    const receipt = await session.commit();
    order.push('receipt');
    await closed;
    expect(receipt).toMatchObject({ status: 'committing', published: 1 });
    expect(order).toEqual(['batch', 'receipt', 'publisher closed', 'closed']);
    // Another instance need not wait for the lease.
    expect((await store.get(session.id))?.leaseExpiresAt).toBeUndefined();
    const next = openSessions({ store, publisher: memory, recovery: false });
    expect(await next.session(session.id).commit()).toMatchObject({ status: 'committed', published: 5 });
    expect(memory.published.map(({ event }) => event.data)).toEqual([0, 1, 2, 3, 4]);
  });

  test('that gives up a commit keeps its lease no longer: another instance takes over', async () => {
    let asked = () => {};
    const publishing = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const stuck = memoryPublisher({
      onPublish() {
        asked();
        return new Promise(() => {});
      },
    });
    const { sessions, store } = instance({ publisher: stuck, commit: { leaseMs: 60 } });
    const session = await sessions.startSession();
    await session.add('a', 1);
    void session.commit();
    await publishing;
    await sessions.close({ timeoutMs: 1 });
    const publisher = memoryPublisher();
    const next = openSessions({ store, publisher, recovery: false, logger: false });
    await waitFor(async () => expect((await next.session(session.id).commit()).status).toBe('committed'));
    expect(publisher.published).toHaveLength(1);
  });

  test('waits for a recovery pass that a command began, and has given up waiting for', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { sessions, store, log, publisher, order, publish } = await owing();
      const next = createEventSessions({
        store,
        publisher,
        contingency: log,
        recovery: false,
        logger: false,
      });
      const added = next.session('s-2').add('a', 2);
      await waitFor(() => expect(order).toEqual(['publishing']));
      await vi.advanceTimersByTimeAsync(2_000);
      await added;
      const closed = next.close();
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      publish();
      await closed;
      expect(order).toEqual(['publishing', 'published', 'publisher closed']);
      await sessions.close();
    } finally {
      vi.useRealTimers();
    }
  });

  test.each<[string, () => Promise<void>]>([
    ['rejects', () => Promise.reject(new Error('it is stuck'))],
    [
      'throws',
      () => {
        throw new Error('it is stuck');
      },
    ],
  ])('closes every adapter, also when that of one %s: that is logged', async (_, close) => {
    const errors: unknown[] = [];
    const closed: string[] = [];
    const log = memoryContingency();
    const { sessions } = instance({
      publisher: {
        ...memoryPublisher(),
        close,
      },
      contingency: {
        ...log,
        async close() {
          closed.push('log');
        },
      },
      logger: { debug() {}, info() {}, warn() {}, error: (...line) => errors.push(line) },
    });
    await sessions.close();
    expect(closed).toEqual(['log']);
    expect(errors).toEqual([['An adapter could not be closed', { cause: 'it is stuck' }]]);
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test("close leaves the user's client open, and lets go of its own connections", async () => {
    const client = new Redis(redis.url);
    const name = `close-test-${process.pid}`;
    const own = new Redis(redis.url);
    const connections = async () =>
      String(await own.client('LIST'))
        .split('\n')
        .filter((line) => line.includes(`name=${name}`)).length;
    try {
      const url = new URL(redis.url);
      const borrowing = createEventSessions({
        store: redisStore({ client }),
        recovery: false,
        logger: false,
      });
      const owning = createEventSessions({
        store: redisStore({ url: url.href }),
        publisher: nsqPublisher({ nsqd: nsqd.tcp }),
        recovery: false,
        logger: false,
      });
      await borrowing.transaction((session) => session.add('close-test', 1));
      await owning.transaction((session) => session.add('close-test', 1));
      await client.client('SETNAME', name);
      await Promise.all([borrowing.close(), owning.close()]);
      expect(await client.ping()).toBe('PONG');
      expect(await connections()).toBe(1);
    } finally {
      client.disconnect();
      own.disconnect();
    }
  });
});

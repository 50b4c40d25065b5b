import { memoryContingency } from 'event-sessions';
import { describe, expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import {
  type HandlerOptions,
  handlers,
  LEASE_MS,
  RETENTION_MS,
  refusalOf,
  sessionOf,
  TTL_MS,
  upTo,
} from './support/handlers.js';

const storeDown = async () => {
  throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'not_done' });
};
const attemptOf = (attemptId: string) => ({
  attemptId,
  leaseMs: LEASE_MS,
  cause: { instance: 'instance-2' },
});

describe('a commit', () => {
  test('publishes every event, in order, once, and the receipt says how many', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 5);
    const receipt = await on.commitSession({ sessionId });
    expect(receipt).toEqual({
      sessionId,
      status: 'committed',
      events: 5,
      published: 5,
      deferred: 0,
      durationMs: expect.any(Number),
    });
    expect(receipt.durationMs).toBeGreaterThan(0);
    expect(on.published()).toEqual([1, 2, 3, 4, 5]);
    expect(on.publisher.published.map(({ event }) => event.sequence)).toEqual(
      upTo(5).map((n) => String(n).padStart(10, '0')),
    );
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({
      status: 'committed',
      events: 5,
      published: 5,
      deferred: 0,
      epoch: 1,
      leaseExpiresAt: undefined,
      expiresAt: on.clock.now + RETENTION_MS,
      history: [
        { status: 'open' },
        { status: 'committing', instance: 'instance-1' },
        { status: 'committed', instance: 'instance-1' },
      ],
    });
  });

  test('tells committing, each batch, committed, and counts', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 3);
    on.told.length = 0;
    await on.commitSession({ sessionId });
    expect(on.told).toMatchObject([
      { type: 'session.committing', sessionId, epoch: 1, events: 3, cursor: 0 },
      { type: 'batch.published', sessionId, topic: 'a', events: 2, firstSequence: 1, lastSequence: 2 },
      { type: 'batch.published', sessionId, topic: 'a', events: 1, firstSequence: 3, lastSequence: 3 },
      { type: 'session.committed', sessionId, events: 3, published: 3, deferred: 0 },
    ]);
    const { events, sessions, commitDuration } = on.metrics();
    expect(events).toMatchObject({ added: 3, processed: 3, published: 3, failed: 0, successRate: 1 });
    expect(sessions.committed).toBe(1);
    expect(commitDuration.count).toBe(1);
  });

  test('of an empty session is a commit', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    expect(await on.commitSession({ sessionId })).toMatchObject({
      status: 'committed',
      events: 0,
      published: 0,
    });
    expect((await on.getSessionStatus({ sessionId })).status).toBe('committed');
  });

  test('repeated returns the first receipt word for word, and publishes, tells and counts nothing', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 3);
    const first = await on.commitSession({ sessionId });
    on.told.length = 0;
    on.clock.now += RETENTION_MS - 1;
    expect(await on.commitSession({ sessionId })).toEqual(first);
    expect(await on.commitSession({ sessionId, expectedEvents: 99 })).toEqual(first);
    expect(on.published()).toEqual([1, 2, 3]);
    expect(on.told).toEqual([]);
    expect(on.metrics().sessions.committed).toBe(1);
    on.clock.now += 1;
    expect((await refusalOf(() => on.commitSession({ sessionId }))).code).toBe('SESSION_NOT_FOUND');
  });

  test('keeps the order of events of several topics within each', async () => {
    const on = handlers({ batchEvents: 3, inFlight: 2 });
    const sessionId = await sessionOf(on);
    const events = upTo(20).map((n) => ({ type: n % 3 === 0 ? 'b' : 'a', data: n }));
    await on.addEvents({ sessionId, events });
    await on.commitSession({ sessionId });
    for (const topic of ['a', 'b']) {
      const published = on.publisher.published.filter((one) => one.topic === topic);
      expect(published.map(({ event }) => event.data)).toEqual(
        events.filter(({ type }) => type === topic).map(({ data }) => data),
      );
    }
  });
});

describe('a commit is refused', () => {
  test('when the session is unknown', async () => {
    const on = handlers();
    expect(await refusalOf(() => on.commitSession({ sessionId: 's-9' }))).toMatchObject({
      code: 'SESSION_NOT_FOUND',
      sessionId: 's-9',
    });
  });

  test.each(['rolled_back', 'expired'] as const)('when the session is %s', async (status) => {
    const on = handlers();
    const sessionId = await sessionOf(on, 2);
    if (status === 'rolled_back') await on.rollbackSession({ sessionId });
    else on.clock.now += TTL_MS;
    const error = await refusalOf(() => on.commitSession({ sessionId }));
    expect(error).toMatchObject({ code: 'SESSION_NOT_OPEN', sessionId, status });
    expect(on.published()).toEqual([]);
  });

  test('while another attempt holds the lease, and taken up when that is over', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 3);
    await on.memory.beginCommit(sessionId, attemptOf('other'));
    await on.memory.advance(sessionId, { epoch: 1, cursor: 2, deferred: 0, leaseMs: LEASE_MS });
    on.clock.now += 5_000;
    expect(await refusalOf(() => on.commitSession({ sessionId }))).toMatchObject({
      code: 'COMMIT_IN_PROGRESS',
      sessionId,
      retryAfterMs: LEASE_MS - 5_000,
    });
    expect(on.published()).toEqual([]);
    on.clock.now += LEASE_MS - 5_000;
    expect(await on.commitSession({ sessionId })).toMatchObject({
      status: 'committed',
      events: 3,
      published: 3,
    });
    expect(on.published()).toEqual([3]);
    expect((await on.getSessionStatus({ sessionId })).epoch).toBe(2);
    expect(on.told.find(({ type }) => type === 'session.committing')).toMatchObject({ epoch: 2, cursor: 2 });
  });

  test('when it has not the expected number of events: it stays open', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 2);
    for (const expectedEvents of [0, 1, 3]) {
      expect(await refusalOf(() => on.commitSession({ sessionId, expectedEvents }))).toMatchObject({
        code: 'EXPECTED_EVENTS_MISMATCH',
        sessionId,
        expected: expectedEvents,
        actual: 2,
      });
    }
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({ status: 'open', epoch: 0 });
    await on.addEvents({ sessionId, events: [{ type: 'a', data: 3 }] });
    expect(await on.commitSession({ sessionId, expectedEvents: 3 })).toMatchObject({ published: 3 });
  });

  test('when the store has lost events: nothing is published', async () => {
    const on = handlers({
      store: () => ({ beginCommit: async () => ({ outcome: 'corrupt', counted: 3, found: 1 }) }),
    });
    const sessionId = await sessionOf(on, 3);
    expect(await refusalOf(() => on.commitSession({ sessionId }))).toMatchObject({
      code: 'SESSION_CORRUPT',
      sessionId,
      expected: 3,
      actual: 1,
    });
    expect(on.published()).toEqual([]);
  });

  test('when events vanish after it has begun: it is no success, and the lease is given back', async () => {
    const on = handlers({ store: () => ({ read: async () => [] }) });
    const sessionId = await sessionOf(on, 3);
    expect(await refusalOf(() => on.commitSession({ sessionId }))).toMatchObject({
      code: 'SESSION_CORRUPT',
      expected: 3,
      actual: 0,
    });
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({
      status: 'committing',
      leaseExpiresAt: undefined,
    });
    expect(on.metrics().events.failed).toBe(3);
  });

  test.each<[unknown, string]>([
    [{ sessionId: 'a b' }, 'sessionId'],
    [{ sessionId: 5 }, 'sessionId'],
    [{ sessionId: 's-1', expectedEvents: -1 }, 'expectedEvents'],
    [{ sessionId: 's-1', expectedEvents: '1' }, 'expectedEvents'],
    [{ sessionId: 's-1', signal: {} }, 'signal'],
    [{ sessionId: 's-1', signal: new AbortController() }, 'signal'],
    [{ sessionId: 's-1', expected: 1 }, 'expected'],
    [undefined, ''],
    [null, ''],
  ])('when the input is %j: the session stays open', async (input, path) => {
    const on = handlers();
    const sessionId = await sessionOf(on, 1);
    const error = await refusalOf(() => on.commitSession(input as never));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
    expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
  });

  test('when the signal has not all that is needed of one', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 1);
    const signal = { addEventListener() {}, throwIfAborted() {} } as unknown as AbortSignal;
    expect((await refusalOf(() => on.commitSession({ sessionId, signal }))).code).toBe('INVALID_INPUT');
    expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
  });
});

describe('aborting', () => {
  test('before the commit rejects with the reason of the signal, and changes nothing', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 2);
    const before = await on.getSessionStatus({ sessionId });
    const reason = new Error('the user went away');
    await expect(on.commitSession({ sessionId, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(on.commitSession({ sessionId, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(await on.getSessionStatus({ sessionId })).toEqual(before);
    expect(on.toldTypes()).not.toContain('session.committing');
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committed', published: 2 });
  });

  /** Aborts when the broker is handed the batch of this number. */
  function abortingAt(batch: number, options: HandlerOptions = {}) {
    const controller = new AbortController();
    let batches = 0;
    const on = handlers({
      ...options,
      onPublish: () => {
        batches += 1;
        if (batches === batch) controller.abort();
      },
    });
    return { on, controller };
  }

  test('during the commit stops between batches; what was acknowledged counts, and the next commit goes on', async () => {
    const { on, controller } = abortingAt(2);
    const sessionId = await sessionOf(on, 9);
    expect(await on.commitSession({ sessionId, signal: controller.signal })).toEqual({
      sessionId,
      status: 'committing',
      events: 9,
      published: 4,
      deferred: 0,
      durationMs: expect.any(Number),
    });
    expect(on.published()).toEqual(upTo(4));
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({
      status: 'committing',
      published: 4,
      epoch: 1,
      leaseExpiresAt: undefined,
    });
    expect((await refusalOf(() => on.rollbackSession({ sessionId }))).status).toBe('committing');

    const receipt = await on.commitSession({ sessionId });
    expect(receipt).toMatchObject({ status: 'committed', events: 9, published: 9 });
    expect(on.published()).toEqual(upTo(9));
    expect(await on.commitSession({ sessionId })).toEqual(receipt);
    expect(on.metrics().events).toMatchObject({ published: 9, processed: 9, failed: 0 });
    expect(on.toldTypes().filter((type) => type === 'session.committed')).toHaveLength(1);
  });

  test('with several batches in flight counts all that were acknowledged', async () => {
    const { on, controller } = abortingAt(3, { inFlight: 4 });
    const sessionId = await sessionOf(on, 20);
    const { published, status } = await on.commitSession({ sessionId, signal: controller.signal });
    expect(status).toBe('committing');
    expect(on.published()).toEqual(upTo(published));
    expect((await on.getSessionStatus({ sessionId })).published).toBe(published);
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committed', published: 20 });
    expect(on.published()).toEqual(upTo(20));
  });

  test('at the last batch is too late: it is committed', async () => {
    const { on, controller } = abortingAt(3);
    const sessionId = await sessionOf(on, 5);
    expect(await on.commitSession({ sessionId, signal: controller.signal })).toMatchObject({
      status: 'committed',
      published: 5,
    });
  });

  test('while the lease is asked for begins the commit and publishes nothing', async () => {
    const controller = new AbortController();
    const on = handlers({
      store: (store) => ({
        beginCommit: async (...args) => {
          controller.abort();
          return store.beginCommit(...args);
        },
      }),
    });
    const sessionId = await sessionOf(on, 3);
    expect(await on.commitSession({ sessionId, signal: controller.signal })).toMatchObject({
      status: 'committing',
      published: 0,
    });
    expect(on.published()).toEqual([]);
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committed', published: 3 });
  });

  test('by the closing of the instance does the same', async () => {
    const { on, controller } = abortingAt(1);
    controller.signal.addEventListener('abort', () => on.closing.abort());
    const sessionId = await sessionOf(on, 5);
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committing', published: 2 });
  });

  test('is listened for once, however many commits share the signal, and no listener stays behind', async () => {
    const on = handlers();
    const counts = { added: 0, removed: 0 };
    const { signal } = new AbortController();
    const counting: AbortSignal = new Proxy(signal, {
      get(target, key) {
        if (key === 'addEventListener') counts.added += 1;
        if (key === 'removeEventListener') counts.removed += 1;
        const value = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const sessionId = await sessionOf(on, 3);
    await on.commitSession({ sessionId, signal: counting });
    await refusalOf(() => on.commitSession({ sessionId: 's-9', signal: counting }));
    // Validation looks at them as well.
    expect(counts).toEqual({ added: 4, removed: 4 });
    const ids = await Promise.all(upTo(20).map((i) => sessionOf(on, 1, `many-${i}`)));
    await Promise.all(ids.map((id) => on.commitSession({ sessionId: id, signal: counting })));
    expect(counts).toEqual({ added: 4 + 20 + 1, removed: 4 + 20 + 1 });
  });
});

describe('when the lease is lost', () => {
  test('to an attempt that finished, the answer is its receipt', async () => {
    let takeOver: (() => Promise<void>) | undefined;
    const on = handlers({ onPublish: async () => takeOver?.() });
    const sessionId = await sessionOf(on, 4);
    const receipt = {
      sessionId,
      status: 'committed' as const,
      events: 4,
      published: 4,
      deferred: 0,
      durationMs: 1,
    };
    takeOver = async () => {
      takeOver = undefined;
      on.clock.now += LEASE_MS;
      await on.memory.beginCommit(sessionId, attemptOf('other'));
      await on.memory.finishCommit(sessionId, {
        epoch: 2,
        cursor: 4,
        deferred: 0,
        receipt,
        retentionMs: RETENTION_MS,
        cause: { instance: 'instance-2' },
      });
    };
    expect(await on.commitSession({ sessionId })).toEqual(receipt);
    expect(on.toldTypes()).not.toContain('session.committed');
  });

  test('to an attempt that is at work, it is COMMIT_IN_PROGRESS', async () => {
    let takeOver: (() => Promise<void>) | undefined;
    const on = handlers({ onPublish: async () => takeOver?.() });
    const sessionId = await sessionOf(on, 4);
    takeOver = async () => {
      takeOver = undefined;
      on.clock.now += LEASE_MS;
      await on.memory.beginCommit(sessionId, attemptOf('other'));
    };
    expect(await refusalOf(() => on.commitSession({ sessionId }))).toMatchObject({
      code: 'COMMIT_IN_PROGRESS',
      retryAfterMs: LEASE_MS,
    });
    expect((await on.getSessionStatus({ sessionId })).epoch).toBe(2);
  });
});

describe('with the broker down', () => {
  test('what it did not take is deferred, and the receipt counts it', async () => {
    let batches = 0;
    const on = handlers({
      onPublish: () => {
        batches += 1;
        if (batches > 1) throw new Error('the broker is down');
      },
    });
    const sessionId = await sessionOf(on, 5);
    const receipt = await on.commitSession({ sessionId });
    expect(receipt).toMatchObject({ status: 'committed', events: 5, published: 2, deferred: 3 });
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({ published: 2, deferred: 3 });
    expect(await on.commitSession({ sessionId })).toEqual(receipt);
    expect(on.metrics().events).toMatchObject({ processed: 5, published: 2, deferred: 3, successRate: 0.4 });
  });

  test.each([
    ['without contingency', false as const, 'PUBLISH_FAILED'],
    ['with a full log', memoryContingency({ maxBytes: 1 }), 'CONTINGENCY_FAILED'],
  ])('%s it fails, the events stay, and the next commit publishes them', async (_, log, code) => {
    const broker = { down: true };
    const on = handlers({
      log,
      onPublish: () => {
        if (broker.down) throw new Error('the broker is down');
      },
    });
    const sessionId = await sessionOf(on, 5);
    expect((await refusalOf(() => on.commitSession({ sessionId }))).code).toBe(code);
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({
      status: 'committing',
      published: 0,
      leaseExpiresAt: undefined,
    });
    expect(on.metrics().events).toMatchObject({ failed: 5, successRate: 0 });
    broker.down = false;
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committed', published: 5 });
    expect(on.published()).toEqual(upTo(5));
  });

  test('an event counts as processed once, also when a commit failed on it before', async () => {
    const broker = { down: true };
    const on = handlers({
      log: false,
      onPublish: () => {
        if (broker.down) throw new Error('the broker is down');
      },
    });
    const sessionId = await sessionOf(on, 5);
    await refusalOf(() => on.commitSession({ sessionId }));
    broker.down = false;
    await on.commitSession({ sessionId });
    expect(on.metrics().events.processed).toBe(5);
  });
});

describe('with the store down', () => {
  test('the request is recorded and answered committing', async () => {
    const on = handlers({ store: () => ({ beginCommit: storeDown }) });
    const sessionId = await sessionOf(on, 2);
    expect(await on.commitSession({ sessionId })).toMatchObject({ status: 'committing', published: 0 });
    expect(on.published()).toEqual([]);
    expect(on.told.at(-1)).toMatchObject({
      type: 'contingency.recorded',
      kind: 'session.commit_requested',
      code: 'STORE_UNAVAILABLE',
    });
  });

  test('half way, what was published counts and the rest waits for recovery', async () => {
    const on = handlers({
      store: (store) => ({
        advance: async (id, progress) => (progress.cursor > 2 ? storeDown() : store.advance(id, progress)),
      }),
    });
    const sessionId = await sessionOf(on, 6);
    expect(await on.commitSession({ sessionId })).toMatchObject({
      status: 'committing',
      events: 6,
      published: 2,
    });
    expect(on.toldTypes()).not.toContain('session.committed');
  });

  test('at the very end it is no success yet', async () => {
    const on = handlers({ store: () => ({ finishCommit: storeDown }), log: false });
    const sessionId = await sessionOf(on, 3);
    expect((await refusalOf(() => on.commitSession({ sessionId }))).code).toBe('STORE_UNAVAILABLE');
    expect(await on.getSessionStatus({ sessionId })).toMatchObject({ status: 'committing', published: 3 });
    expect(on.toldTypes()).not.toContain('session.committed');
    expect(on.metrics().sessions.committed).toBe(0);
  });

  test('without contingency it is an error, and the session stays open', async () => {
    const on = handlers({ store: () => ({ beginCommit: storeDown }), log: false });
    const sessionId = await sessionOf(on, 2);
    expect((await refusalOf(() => on.commitSession({ sessionId }))).code).toBe('STORE_UNAVAILABLE');
    expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
  });
});

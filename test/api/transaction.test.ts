import { type EventSessionsOptions, memoryPublisher, type Session } from 'event-sessions';
import { describe, expect, test } from 'vitest';
import { instance } from './instance.js';

const boom = new Error('boom');
const collecting = () => {
  const warnings: unknown[] = [];
  const logger: EventSessionsOptions['logger'] = {
    debug() {},
    info() {},
    warn: (message, context) => warnings.push([message, context]),
    error() {},
  };
  return { logger, warnings };
};

describe('a transaction', () => {
  test('commits what the work has added, and answers what it returned next to the receipt', async () => {
    const { sessions, publisher } = instance();
    const { result, receipt } = await sessions.transaction(
      async (session) => {
        await session.add('order.placed', { orderId: 'o-1' });
        return session.id;
      },
      { sessionId: 'checkout-1', metadata: { user: 'u-1' } },
    );
    expect(result).toBe('checkout-1');
    expect(receipt).toMatchObject({ sessionId: 'checkout-1', status: 'committed', published: 1 });
    expect(publisher.published).toHaveLength(1);
    expect((await sessions.session('checkout-1').status()).metadata).toEqual({ user: 'u-1' });
  });

  test('takes work that is not async, and work that does nothing', async () => {
    const { sessions } = instance();
    expect(await sessions.transaction(() => 5)).toMatchObject({ result: 5, receipt: { events: 0 } });
  });

  test.each<[string, () => unknown]>([
    ['rejects', () => Promise.reject(boom)],
    [
      'throws',
      () => {
        throw boom;
      },
    ],
  ])('whose work %s is rolled back, and throws that error', async (_, fail) => {
    const { sessions, publisher } = instance();
    let id = '';
    const failing = sessions.transaction(async (session) => {
      id = session.id;
      await session.add('order.placed', 1);
      return fail();
    });
    await expect(failing).rejects.toBe(boom);
    const { status, history } = await sessions.session(id).status();
    expect(status).toBe('rolled_back');
    expect(history.at(-1)?.reason).toBe('transaction failed: boom');
    expect(publisher.published).toEqual([]);
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object without a prototype', Object.create(null)],
    ['an error with 5,000 lines', new Error('line\n'.repeat(5_000))],
  ])('that throws %s throws exactly that', async (_, thrown) => {
    const { sessions } = instance();
    let id = '';
    const failing = sessions.transaction((session) => {
      id = session.id;
      throw thrown;
    });
    const caught = await failing.then(
      () => 'nothing was thrown',
      (error: unknown) => error,
    );
    expect(caught).toBe(thrown);
    expect((await sessions.session(id).status()).status).toBe('rolled_back');
  });

  test('whose commit fails throws why, and what has begun cannot be undone', async () => {
    const { sessions, broker, publisher } = instance({ contingency: false });
    broker.down = true;
    let id = '';
    const failing = sessions.transaction(async (session) => {
      id = session.id;
      await session.add('a', 1);
    });
    await expect(failing).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    expect((await sessions.session(id).status()).status).toBe('committing');
    broker.down = false;
    expect(await sessions.session(id).commit()).toMatchObject({ status: 'committed', published: 1 });
    expect(publisher.published).toHaveLength(1);
  });

  test.each(['read', 'advance', 'finishCommit'])(
    'whose commit the store leaves at %s, without a log, says of which session it was',
    async (at) => {
      const { sessions, store, publisher } = instance({ contingency: false });
      const work = async (session: Session) => {
        await session.add('a', 1);
        store.decide = (method) => (method === at ? 'down' : 'up');
      };
      const failing = sessions.transaction(work, { sessionId: 's-1' });
      await expect(failing).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', sessionId: 's-1' });
      store.decide = undefined;
      expect(await sessions.session('s-1').commit()).toMatchObject({ status: 'committed' });
      expect(new Set(publisher.published.map(({ event }) => event.data))).toEqual(new Set([1]));
    },
  );

  test('that has already been committed by its work answers the same receipt', async () => {
    const { sessions } = instance();
    const { result, receipt } = await sessions.transaction((session) => session.commit());
    expect(receipt).toEqual(result);
  });

  test('whose rollback fails as well throws the first error, and the second is logged', async () => {
    const { logger, warnings } = collecting();
    const { sessions, store } = instance({ contingency: false, logger });
    const failing = sessions.transaction(() => {
      store.fault = 'down';
      throw boom;
    });
    await expect(failing).rejects.toBe(boom);
    expect(warnings).toContainEqual([
      'A failed transaction could not be rolled back',
      { sessionId: expect.any(String), cause: 'the store is down' },
    ]);
  });

  test('that cannot be started does no work', async () => {
    const { sessions, store } = instance({ contingency: false });
    store.fault = 'down';
    let worked = false;
    const failing = sessions.transaction(() => {
      worked = true;
    });
    await expect(failing).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(sessions.transaction(() => {}, { sessionId: 'a b' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    expect(worked).toBe(false);
  });

  test('in an outage of store and broker is accepted all the same', async () => {
    const { sessions, store, broker, publisher } = instance();
    store.fault = 'down';
    broker.down = true;
    const { receipt } = await sessions.transaction((session) => session.add('a', 1));
    expect(receipt).toMatchObject({ status: 'committing', deferred: 1 });
    store.fault = 'up';
    broker.down = false;
    await sessions.recover();
    expect(publisher.published).toHaveLength(1);
  });
});

describe('await using a session', () => {
  test('rolls back what is still open, also when the scope is left by an error', async () => {
    const { sessions, publisher } = instance();
    const ids: string[] = [];
    const scope = async (fail: boolean) => {
      await using session = await sessions.startSession();
      ids.push(session.id);
      await session.add('a', 1);
      if (fail) throw boom;
    };
    await scope(false);
    await expect(scope(true)).rejects.toBe(boom);
    for (const id of ids) {
      const { status, history } = await sessions.session(id).status();
      expect(status).toBe('rolled_back');
      expect(history.at(-1)?.reason).toBe('left its scope while open');
    }
    expect(publisher.published).toEqual([]);
  });

  test('leaves a committed, a rolled back and an unknown one alone', async () => {
    const { sessions, publisher } = instance();
    let id = '';
    {
      await using session = await sessions.startSession();
      id = session.id;
      await session.add('a', 1);
      await session.commit();
    }
    expect((await sessions.session(id).status()).status).toBe('committed');
    expect(publisher.published).toHaveLength(1);
    {
      await using session = await sessions.startSession();
      await session.rollback({ reason: 'mine' });
      id = session.id;
    }
    expect((await sessions.session(id).status()).history.at(-1)?.reason).toBe('mine');
    {
      await using _unknown = sessions.session('never-started');
    }
  });

  test('of an instance closes it', async () => {
    const memory = memoryPublisher();
    let closed = 0;
    const publisher = {
      ...memory,
      async close() {
        closed += 1;
      },
    };
    const { sessions } = instance({ publisher });
    {
      await using same = sessions;
      await same.transaction((session) => session.add('a', 1));
    }
    await expect(sessions.startSession()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(closed).toBe(1);
  });
});

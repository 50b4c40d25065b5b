import {
  type ContingencyRecord,
  type MemoryContingency,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type Session,
} from 'event-sessions';
import { describe, expect, test, vi } from 'vitest';
import { knownEnds } from '../../src/contingency/known-ends.js';
import { faultyStore, type StoreFault } from '../support/faulty-store.js';
import { openSessions } from '../support/open-sessions.js';
import { waitFor } from '../support/wait-for.js';

type Refusal = 'before it is written' | 'after it was written';

/** A log that refuses the next append when it is told to, whether or not its bytes were written by then. */
function refusingLog() {
  const log = memoryContingency();
  const refusing = { next: undefined as Refusal | undefined };
  const append: MemoryContingency['append'] = async (records: readonly ContingencyRecord[]) => {
    const refusal = refusing.next;
    refusing.next = undefined;
    if (refusal !== 'before it is written') await log.append(records);
    if (refusal !== undefined) throw new Error('EIO');
  };
  return { log: { ...log, append }, refusing };
}

function setUp() {
  const store = faultyStore(memoryStore());
  const { log, refusing } = refusingLog();
  let publishing = Promise.resolve();
  const publisher = memoryPublisher({ onPublish: () => publishing });
  const options = {
    store,
    publisher,
    contingency: log,
    recovery: false,
    logger: false,
    retention: 1_000,
  } as const;
  const sessions = openSessions({ ...options, commit: { leaseMs: 100 } });
  return {
    store,
    sessions,
    refusing,
    /** On the same store and log. */
    anotherInstance: () => openSessions(options),
    /** Until then publishing waits. */
    publishWhen(promise: Promise<void>) {
      publishing = promise;
    },
    published: () => publisher.published.length,
    async recover() {
      store.fault = 'up';
      // A lease that nobody gave back must be over.
      await waitFor(async () => expect((await sessions.recover()).complete).toBe(true));
      await waitFor(async () => {
        await sessions.recover();
        expect(['open', 'committed', 'rolled_back']).toContain(
          (await sessions.session('s-1').status()).status,
        );
      });
    },
  };
}

const LOST: StoreFault[] = ['down', 'cut before', 'cut after'];
const REFUSALS: Refusal[] = ['before it is written', 'after it was written'];
const CASES = LOST.flatMap((fault) => REFUSALS.map((refusal) => [fault, refusal] as const));

async function sessionWithAnEvent(sessions: ReturnType<typeof setUp>['sessions']): Promise<Session> {
  const session = await sessions.startSession({ sessionId: 's-1' });
  await session.add('a', 1);
  return session;
}

describe.each(CASES)('G2 G5: the store is %s, and the log refuses an end %s', (fault, refusal) => {
  test('a rollback behind a commit is not acknowledged and then undone', async () => {
    const { sessions, store, refusing, published, recover } = setUp();
    const session = await sessionWithAnEvent(sessions);
    store.fault = fault;
    refusing.next = refusal;
    await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    store.fault = 'down';
    await expect(session.rollback()).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'committing',
    });
    await recover();
    expect((await session.status()).status).toBe(published() === 1 ? 'committed' : 'open');
  });

  test('nor is a commit behind a rollback', async () => {
    const { sessions, store, refusing, published, recover } = setUp();
    const session = await sessionWithAnEvent(sessions);
    store.fault = fault;
    refusing.next = refusal;
    await expect(session.rollback()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    store.fault = 'down';
    await expect(session.commit()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'rolled_back' });
    await recover();
    expect(published()).toBe(0);
  });

  test.each(['cut before', 'cut after'] as const)(
    'of a rollback behind it that is %s as well nobody can know, and its caller is told so',
    async (second) => {
      const { sessions, store, refusing, recover } = setUp();
      const session = await sessionWithAnEvent(sessions);
      store.fault = fault;
      refusing.next = refusal;
      await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
      store.fault = second;
      await expect(session.rollback()).rejects.toMatchObject({
        code: 'CONTINGENCY_FAILED',
        outcome: 'unknown',
      });
      await recover();
    },
  );

  test('a transaction that fails there tells nobody that it was rolled back', async () => {
    const { sessions, store, refusing } = setUp();
    const rolledBack = vi.fn();
    sessions.on('session.rolled_back', rolledBack);
    const work = async (session: Session) => {
      await session.add('a', 1);
      store.fault = fault;
      refusing.next = refusal;
    };
    await expect(sessions.transaction(work)).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    expect(rolledBack).not.toHaveBeenCalled();
  });
});

describe('G2 G5: the store goes away behind an end that it has carried out', () => {
  test('a session that is being committed is not rolled back', async () => {
    const { sessions, store, publishWhen, published, recover } = setUp();
    const session = await sessionWithAnEvent(sessions);
    let publish = () => {};
    publishWhen(new Promise((resolve) => (publish = resolve)));
    const began = new Promise((resolve) => sessions.once('session.committing', resolve));
    const commit = session.commit();
    await began;
    store.fault = 'down';
    await expect(session.rollback()).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'committing',
    });
    await expect(session.add('a', 2)).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'committing',
    });
    publish();
    expect(await commit).toMatchObject({ status: 'committing' });
    await recover();
    expect(published()).toBeGreaterThan(0);
    expect((await session.status()).status).toBe('committed');
  });

  test('nor is one that has been committed', async () => {
    const { sessions, store } = setUp();
    const session = await sessionWithAnEvent(sessions);
    await session.commit();
    store.fault = 'down';
    await expect(session.rollback()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'committed' });
  });

  test('and one that has been rolled back is not committed, but can be rolled back again', async () => {
    const { sessions, store } = setUp();
    const session = await sessionWithAnEvent(sessions);
    await session.rollback();
    store.fault = 'down';
    await expect(session.commit()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'rolled_back' });
    expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
  });

  test('one that goes on taking events has no end after all, and can be ended either way', async () => {
    const { sessions, store, refusing } = setUp();
    const session = await sessionWithAnEvent(sessions);
    store.fault = 'down';
    refusing.next = 'before it is written';
    await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    store.fault = 'up';
    await session.add('a', 2);
    store.fault = 'down';
    expect(await session.add('a', 3)).toMatchObject({ deferred: true });
    expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
  });

  test('a session that begins anew under the same id has no end', async () => {
    vi.useFakeTimers();
    try {
      const { sessions, store } = setUp();
      await (await sessionWithAnEvent(sessions)).rollback();
      vi.advanceTimersByTime(2_000);
      const session = await sessionWithAnEvent(sessions);
      store.fault = 'down';
      expect(await session.commit()).toMatchObject({ status: 'committing' });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('G5: what the log had of ends, and recovery has brought to the store', () => {
  test('is known: an end that an earlier process has recorded is not contradicted in the next outage', async () => {
    const store = faultyStore(memoryStore());
    const log = memoryContingency();
    const shared = { ...log, close: async () => {} };
    const first = openSessions({ store, contingency: shared, recovery: false, logger: false });
    await first.startSession({ sessionId: 's-1' });
    store.fault = 'down';
    await first.session('s-1').rollback();
    await first.close();
    store.fault = 'up';
    const next = openSessions({ store, contingency: log, recovery: false, logger: false });
    expect(await next.recover()).toMatchObject({ complete: true, remaining: 0 });
    store.fault = 'down';
    await expect(next.session('s-1').commit()).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'rolled_back',
    });
  });

  test('and one that the store had no place for is none: the session can still be ended the other way', async () => {
    const { sessions, store } = setUp();
    const session = await sessionWithAnEvent(sessions);
    await session.add('a', 2);
    store.fault = 'down';
    expect(await session.commit({ expectedEvents: 1 })).toMatchObject({ status: 'committing' });
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ quarantined: 1, remaining: 0 });
    store.fault = 'down';
    expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
  });
});

describe('a commit that was recorded with expectedEvents, when they are not there yet', () => {
  async function recordedCommit() {
    const c = setUp();
    const session = await sessionWithAnEvent(c.sessions);
    c.store.fault = 'down';
    expect(await session.commit({ expectedEvents: 2 })).toMatchObject({ status: 'committing' });
    c.store.fault = 'up';
    return { ...c, session };
  }

  test('G2: yields to a rollback that is acknowledged later, though they are there by then', async () => {
    const { sessions, session, store, published } = await recordedCommit();
    await session.add('a', 2);
    store.fault = 'down';
    expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ quarantined: 1, remaining: 0, complete: true });
    expect((await session.status()).status).toBe('rolled_back');
    expect(published()).toBe(0);
  });

  test('G6: waits by itself: its session takes events, and they reach the store', async () => {
    const { anotherInstance, store, published } = await recordedCommit();
    const sessions = anotherInstance();
    const session = sessions.session('s-1');
    expect(await sessions.recover()).toMatchObject({ quarantined: 0, remaining: 1 });
    expect(await session.add('a', 2, { id: 'e-2' })).toMatchObject({ deferred: false });
    store.fault = 'down';
    expect(await session.add('a', 2, { id: 'e-2' })).toMatchObject({ deferred: true });
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ remaining: 0, complete: true });
    expect((await session.status()).status).toBe('committed');
    expect(published()).toBe(2);
  });

  test('is granted when they come from the log, behind it', async () => {
    const { session, store, recover, published } = await recordedCommit();
    expect((await session.status()).status).toBe('open');
    store.fault = 'down';
    expect(await session.add('a', 2)).toMatchObject({ deferred: true });
    await recover();
    expect((await session.status()).status).toBe('committed');
    expect(published()).toBe(2);
  });

  test('and leaves the session to a later commit without that', async () => {
    const { sessions, session, published } = await recordedCommit();
    expect(await session.commit({ expectedEvents: 1 })).toMatchObject({ status: 'committed', events: 1 });
    expect(await sessions.recover()).toMatchObject({ quarantined: 0, remaining: 0 });
    expect(published()).toBe(1);
  });
});

test('a commit whose signal aborts while it waits for what an outage held back has not begun', async () => {
  const { sessions, store } = setUp();
  const session = await sessions.startSession({ sessionId: 's-1' });
  store.fault = 'down';
  await session.add('a', 1);
  store.fault = 'up';
  const controller = new AbortController();
  const { append } = store;
  store.append = async (...args) => {
    controller.abort(new Error('enough'));
    return append(...args);
  };
  await expect(session.commit({ signal: controller.signal })).rejects.toThrow('enough');
  expect((await session.status()).status).toBe('open');
});

describe('knownEnds', () => {
  test('forgets after the retention', () => {
    vi.useFakeTimers();
    try {
      const ends = knownEnds(1_000);
      ends.set('s-1', 'committed');
      vi.advanceTimersByTime(999);
      expect(ends.of('s-1')).toMatchObject({ status: 'committed', isSure: true });
      vi.advanceTimersByTime(1);
      expect(ends.of('s-1')).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  test('keeps the last of many', () => {
    const ends = knownEnds(60_000);
    for (let i = 0; i <= 50_000; i += 1) ends.set(`s-${i}`, 'committed');
    const statuses = ['s-0', 's-1', 's-50000'].map((sessionId) => ends.of(sessionId)?.status);
    expect(statuses).toEqual([undefined, 'committed', 'committed']);
  });
});

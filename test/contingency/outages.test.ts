import {
  type EventSessions,
  type EventSessionsOptions,
  type MemoryContingency,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SessionStore } from '../../src/ports/session-store.js';
import { type FaultyStore, faultyStore, type StoreFault } from '../support/faulty-store.js';
import { openSessions } from '../support/open-sessions.js';

interface Setup {
  readonly sessions: EventSessions;
  readonly store: FaultyStore;
  readonly log: MemoryContingency;
  readonly publisher: ReturnType<typeof memoryPublisher>;
  /** While true the broker takes nothing. */
  readonly broker: { down: boolean };
  published(): unknown[];
}

function setUp(base: SessionStore = memoryStore(), options: EventSessionsOptions = {}): Setup {
  const broker = { down: false };
  const store = faultyStore(base);
  const log = memoryContingency();
  const publisher = memoryPublisher({
    onPublish: () => {
      if (broker.down) throw new Error('the broker is down');
    },
  });
  const sessions = openSessions({
    store,
    publisher,
    contingency: log,
    recovery: false,
    logger: false,
    commit: { retries: 0, batchEvents: 2, ...options.commit },
    ...options,
  });
  return {
    sessions,
    store,
    log,
    publisher,
    broker,
    published: () => publisher.published.map(({ event }) => event.data),
  };
}

const OUTAGES: StoreFault[] = ['down', 'cut before', 'cut after'];

test.each(['recovery', 'the next command'])(
  'G1: the limits of a session turn away nothing that an outage held back, brought in by %s',
  async (by) => {
    const { sessions, store, log, published } = setUp(memoryStore(), {
      limits: { maxSessionEvents: 2, maxSessionBytes: 1_000 },
    });
    const session = await sessions.startSession();
    await session.add('a', 0);
    store.fault = 'down';
    const held = Array.from({ length: 10 }, (_, i) => ({ type: 'a', data: i + 1 }));
    expect(await session.addMany(held)).toMatchObject({ deferred: true });
    store.fault = 'up';
    if (by === 'recovery')
      expect(await sessions.recover()).toMatchObject({ events: 10, quarantined: 0, complete: true });
    await expect(session.add('a', 11)).rejects.toMatchObject({ code: 'SESSION_LIMIT_EXCEEDED' });
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 11, published: 11 });
    expect(published()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await sessions.recover();
    expect(log.records).toEqual([]);
  },
);

describe.each(OUTAGES)('G1 G6: the store is %s', (fault) => {
  test('start, add and commit are accepted, say so, and recovery carries them out once', async () => {
    const { sessions, store, log, published } = setUp();
    store.fault = fault;
    const session = await sessions.startSession({ metadata: { user: 'u-1' } });
    expect(await session.add('a', 1)).toMatchObject({ duplicate: false, deferred: true });
    expect(
      await session.addMany([
        { type: 'a', data: 2 },
        { type: 'a', data: 3 },
      ]),
    ).toMatchObject({ deferred: true });
    expect(await session.commit()).toMatchObject({ status: 'committing', published: 0, deferred: 3 });
    expect(log.records.map(({ kind }) => kind)).toEqual([
      'session.started',
      'event.added',
      'event.added',
      'event.added',
      'session.commit_requested',
    ]);
    expect(published()).toEqual([]);

    store.fault = 'up';
    const report = await sessions.recover();
    expect(report).toMatchObject({ sessions: 1, published: 3, quarantined: 0, remaining: 0 });
    expect(published()).toEqual([1, 2, 3]);
    expect(await session.status()).toMatchObject({
      status: 'committed',
      events: 3,
      published: 3,
      metadata: { user: 'u-1' },
    });
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 3 });
    expect(log.records).toEqual([]);
    await sessions.recover();
    expect(published()).toEqual([1, 2, 3]);
  });

  test('a rollback is accepted, and nothing is ever published', async () => {
    const { sessions, store, published } = setUp();
    const session = await sessions.startSession();
    await session.add('a', 1);
    store.fault = fault;
    await session.add('a', 2);
    expect(await session.rollback({ reason: 'changed my mind' })).toMatchObject({
      status: 'rolled_back',
      deferred: true,
    });
    expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
    store.fault = 'up';
    await sessions.recover();
    expect(published()).toEqual([]);
    const status = await session.status();
    expect(status.status).toBe('rolled_back');
    expect(status.history.at(-1)?.reason).toBe('changed my mind');
  });

  test('G4: the next command heals first, so order holds over the outage', async () => {
    const { sessions, store, published } = setUp();
    const session = await sessions.startSession();
    await session.add('a', 1);
    store.fault = fault;
    await session.add('a', 2);
    await session.add('a', 3);
    store.fault = 'up';
    expect(await session.add('a', 4)).toMatchObject({ deferred: false });
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 4, published: 4 });
    expect(published()).toEqual([1, 2, 3, 4]);
    expect(await sessions.recover()).toMatchObject({ published: 0, remaining: 0 });
    expect(published()).toEqual([1, 2, 3, 4]);
  });

  test('the same event id is one event, before, during and after', async () => {
    const { sessions, store, published } = setUp();
    const session = await sessions.startSession();
    await session.add('a', 1, { id: 'one' });
    store.fault = fault;
    await session.add('a', 1, { id: 'one' });
    expect(await session.add('a', 2, { id: 'two' })).toMatchObject({ duplicate: false });
    expect(await session.add('a', 2, { id: 'two' })).toMatchObject({ duplicate: true, deferred: true });
    store.fault = 'up';
    expect(await session.add('a', 2, { id: 'two' })).toMatchObject({ duplicate: true, deferred: false });
    expect(await session.commit()).toMatchObject({ events: 2 });
    expect(published()).toEqual([1, 2]);
  });

  test('G5: after a recorded commit there is no add, no rollback, and the commit repeats', async () => {
    const { sessions, store } = setUp();
    const session = await sessions.startSession();
    store.fault = fault;
    await session.add('a', 1);
    await session.commit();
    await expect(session.add('a', 2)).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'committing',
    });
    await expect(session.rollback()).rejects.toMatchObject({
      code: 'SESSION_NOT_OPEN',
      status: 'committing',
    });
    expect(await session.commit()).toMatchObject({ status: 'committing' });
    store.fault = 'up';
    await expect(session.add('a', 2)).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN' });
    await expect(session.rollback()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN' });
  });

  test('G5: of a commit and a rollback recorded at once, one wins', async () => {
    const { sessions, store, log, published } = setUp();
    const session = await sessions.startSession();
    await session.add('a', 1);
    store.fault = fault;
    const ends = await Promise.allSettled([
      session.commit(),
      session.rollback(),
      session.commit(),
      session.rollback(),
    ]);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    expect(log.records.filter(({ kind }) => kind.endsWith('_requested'))).toHaveLength(1);
    store.fault = 'up';
    await sessions.recover();
    expect((await session.status()).status).toBe('committed');
    expect(published()).toEqual([1]);
  });

  test('a start that is repeated is one session', async () => {
    const { sessions, store, log } = setUp();
    store.fault = fault;
    await sessions.startSession({ sessionId: 's-1' });
    await sessions.startSession({ sessionId: 's-1' });
    expect(log.records).toHaveLength(1);
    store.fault = 'up';
    expect(await sessions.commands.startSession({ sessionId: 's-1' })).toMatchObject({ created: false });
  });

  test('without contingency it is an error, and nothing pretends', async () => {
    const { sessions, store } = setUp(memoryStore(), { contingency: false });
    const session = await sessions.startSession();
    store.fault = fault;
    for (const act of [() => session.add('a', 1), () => session.commit(), () => session.rollback()]) {
      await expect(act()).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        outcome: fault === 'down' ? 'not_done' : 'unknown',
      });
    }
  });

  test('when the log fails as well, the add says so', async () => {
    const log = memoryContingency({ maxBytes: 1 });
    const { sessions, store } = setUp(memoryStore(), { contingency: log });
    const session = await sessions.startSession();
    store.fault = fault;
    await expect(session.add('a', 1)).rejects.toMatchObject({
      code: 'CONTINGENCY_FAILED',
      sessionId: session.id,
    });
  });

  test('a commit that loses the store half way answers committing, and recovery finishes it', async () => {
    const { sessions, store, published, log } = setUp(memoryStore(), {
      commit: { batchEvents: 2, inFlight: 1, retries: 0 },
    });
    const session = await sessions.startSession();
    await session.addMany([1, 2, 3, 4, 5, 6].map((data) => ({ type: 'a', data })));
    let advances = 0;
    store.decide = (method) => {
      if (method === 'advance') advances += 1;
      return advances >= 2 ? fault : 'up';
    };
    const receipt = await session.commit();
    expect(receipt).toMatchObject({ status: 'committing', events: 6, published: 2 });
    expect(log.records.map(({ kind }) => kind)).toEqual(['session.commit_requested']);
    store.decide = () => 'up';
    // The record names the attempt that was given up, so nobody has to wait for its lease.
    const again = await session.commit();
    expect(again).toMatchObject({ status: 'committed', events: 6, published: 6 });
    expect([...new Set(published())]).toEqual([1, 2, 3, 4, 5, 6]);
    // G3: the batch whose cursor was not confirmed may come twice, and no other.
    expect(published().length).toBeLessThanOrEqual(6 + 2);
  });
});

describe('calls at once, of which nobody can know what became of them', () => {
  test('G5: a commit that is recorded while a rollback is on its way does not win over it unheard', async () => {
    const { sessions, store, published } = setUp();
    const session = await sessions.startSession();
    await session.add('a', 1);
    store.decide = (method) =>
      method === 'rollback' ? 'cut after' : method === 'beginCommit' ? 'down' : 'up';
    const [rollback, commit] = await Promise.allSettled([session.rollback(), session.commit()]);
    store.decide = undefined;
    await sessions.recover();
    expect([rollback.status, commit.status].sort()).toEqual(['fulfilled', 'rejected']);
    const won = rollback.status === 'fulfilled' ? 'rolled_back' : 'committed';
    expect((await session.status()).status).toBe(won);
    expect(published()).toEqual(won === 'committed' ? [1] : []);
  });

  test('an add that may have come before the commit is not refused', async () => {
    const { sessions, store, published } = setUp();
    const session = await sessions.startSession();
    store.decide = (method) => (method === 'append' ? 'cut after' : method === 'beginCommit' ? 'down' : 'up');
    const [receipt] = await Promise.all([session.add('a', 1), session.commit()]);
    expect(receipt).toMatchObject({ deferred: true });
    store.decide = undefined;
    expect(await sessions.recover()).toMatchObject({ remaining: 0, quarantined: 0 });
    expect(published()).toEqual([1]);
  });

  test('nor is one that may have come before a rollback, which another host may yet forestall', async () => {
    const base = memoryStore();
    const [a, b] = [setUp(base), setUp(base)];
    const session = await a.sessions.startSession();
    a.store.decide = (method) => (method === 'append' ? 'cut after' : method === 'rollback' ? 'down' : 'up');
    const [receipt] = await Promise.all([session.add('a', 1), session.rollback()]);
    expect(receipt).toMatchObject({ deferred: true });
    expect(await b.sessions.session(session.id).commit()).toMatchObject({ events: 1, published: 1 });
    a.store.decide = undefined;
    expect(await a.sessions.recover()).toMatchObject({ remaining: 0, quarantined: 1, published: 0 });
    expect([...a.published(), ...b.published()]).toEqual([1]);
  });
});

describe('G4: events that were recorded before their session was there', () => {
  test('come before what is added after its start', async () => {
    const { sessions, store, published } = setUp();
    const session = sessions.session('s-1');
    store.fault = 'down';
    await session.add('a', 1);
    store.fault = 'up';
    await sessions.startSession({ sessionId: 's-1' });
    await session.add('a', 2);
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 2 });
    expect(published()).toEqual([1, 2]);
  });

  test('also when the start was recorded behind them', async () => {
    const { sessions, store, published } = setUp();
    const session = sessions.session('s-1');
    store.fault = 'down';
    await session.add('a', 1);
    await sessions.startSession({ sessionId: 's-1' });
    await session.add('a', 2);
    store.fault = 'up';
    await session.add('a', 3);
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 3 });
    expect(published()).toEqual([1, 2, 3]);
  });

  test('are not overtaken when somebody starts it in between', async () => {
    const { sessions, store, published } = setUp();
    const session = sessions.session('s-1');
    store.fault = 'down';
    await session.add('a', 1);
    store.fault = 'up';
    let appends = 0;
    const { append } = store;
    store.append = async (...args) => {
      const outcome = await append(...args);
      appends += 1;
      if (appends === 1)
        await store.start({ sessionId: 's-1', metadata: '{}', ttlMs: 60_000, cause: { instance: 'b' } });
      return outcome;
    };
    await expect(session.add('a', 2)).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
    await session.add('a', 3);
    await session.commit();
    expect(published()).toEqual([1, 3]);
  });
});

describe('the broker is down at commit', () => {
  test('the session is committed, the events are owed, and recovery publishes them once and in order', async () => {
    const { sessions, broker, published, log } = setUp();
    const session = await sessions.startSession();
    await session.addMany([1, 2, 3, 4, 5].map((data) => ({ type: 'a', data })));
    broker.down = true;
    expect(await session.commit()).toMatchObject({
      status: 'committed',
      events: 5,
      published: 0,
      deferred: 5,
    });
    expect(await session.status()).toMatchObject({ status: 'committed', published: 0, deferred: 5 });
    expect(log.records.map(({ kind }) => kind)).toEqual(Array(5).fill('event.unpublished'));

    expect(await sessions.recover()).toMatchObject({ published: 0, remaining: 5, complete: false });
    broker.down = false;
    expect(await sessions.recover()).toMatchObject({ published: 5, remaining: 0, complete: true });
    expect(published()).toEqual([1, 2, 3, 4, 5]);
    expect(await sessions.recover()).toMatchObject({ sessions: 0, published: 0 });
  });

  test('without contingency the commit fails, the session stays committing and the next commit finishes it', async () => {
    const { sessions, broker, published } = setUp(memoryStore(), {
      contingency: false,
      commit: { retries: 0 },
    });
    const session = await sessions.startSession();
    await session.add('a', 1);
    broker.down = true;
    await expect(session.commit()).rejects.toMatchObject({ code: 'PUBLISH_FAILED', sessionId: session.id });
    expect((await session.status()).status).toBe('committing');
    const metrics = await sessions.metrics();
    expect(metrics.events).toMatchObject({ failed: 1, processed: 1, successRate: 0 });
    expect(metrics.recentFailures.at(-1)).toMatchObject({
      operation: 'commitSession',
      code: 'PUBLISH_FAILED',
      cause: 'the broker is down',
    });
    broker.down = false;
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 1 });
    expect(published()).toEqual([1]);
  });

  test('when the log is full too, nothing is lost: the events are still in the store', async () => {
    const log = memoryContingency({ maxBytes: 1 });
    const { sessions, broker, published } = setUp(memoryStore(), { contingency: log });
    const session = await sessions.startSession();
    await session.add('a', 1);
    broker.down = true;
    await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    broker.down = false;
    expect(await sessions.recover()).toMatchObject({ sessions: 1, published: 1 });
    expect(published()).toEqual([1]);
    expect((await session.status()).status).toBe('committed');
  });
});

describe('two instances on one store', () => {
  test('events that one holds back and the other does not know of are published late', async () => {
    const base = memoryStore();
    const [a, b] = [setUp(base), setUp(base)];
    const session = await a.sessions.startSession();
    await session.add('x', 1);
    a.store.fault = 'down';
    await session.add('x', 2);
    await session.add('x', 3);
    expect(await b.sessions.session(session.id).commit()).toMatchObject({ status: 'committed', events: 1 });
    a.store.fault = 'up';
    expect(await a.sessions.recover()).toMatchObject({ published: 2, quarantined: 0, remaining: 0 });
    expect(a.published()).toEqual([2, 3]);
    expect(a.publisher.published.map(({ event }) => Number(event.sequence))).toEqual([2, 3]);
  });

  test('G4: late events come behind those that the broker is owed', async () => {
    const base = memoryStore();
    const log = memoryContingency();
    const [a, b] = [setUp(base, { contingency: log }), setUp(base, { contingency: log })];
    const session = await a.sessions.startSession();
    await session.add('x', 1);
    b.store.fault = 'down';
    await b.sessions.session(session.id).add('x', 2);
    a.broker.down = true;
    expect(await session.commit()).toMatchObject({ status: 'committed', deferred: 1 });
    a.broker.down = false;
    expect(await a.sessions.recover()).toMatchObject({ published: 2, remaining: 0 });
    expect(a.published()).toEqual([1, 2]);
  });

  test('G2: events that one holds back of a session that the other rolls back are discarded', async () => {
    const base = memoryStore();
    const [a, b] = [setUp(base), setUp(base)];
    const session = await a.sessions.startSession();
    a.store.fault = 'cut before';
    await session.add('x', 1);
    await b.sessions.session(session.id).rollback();
    a.store.fault = 'up';
    expect(await a.sessions.recover()).toMatchObject({ published: 0, discarded: 1, quarantined: 0 });
    expect(a.published()).toEqual([]);
  });

  test('an interrupted commit of a dead instance is finished by another one', async () => {
    const base = memoryStore();
    const [dead, alive] = [setUp(base), setUp(base)];
    const session = await dead.sessions.startSession();
    await session.addMany([1, 2, 3].map((data) => ({ type: 'x', data })));
    const attempt = { attemptId: 'dead', leaseMs: 60_000, cause: { instance: 'dead' } };
    await base.beginCommit(session.id, attempt);
    await base.advance(session.id, { epoch: 1, cursor: 2, deferred: 0, leaseMs: 60_000 });
    expect(await alive.sessions.recover()).toMatchObject({ sessions: 0 });
    await base.releaseCommit(session.id, 1);
    expect(await alive.sessions.recover()).toMatchObject({ sessions: 1, published: 1 });
    expect(alive.published()).toEqual([3]);
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 3 });
  });

  test('an expired session is told once, and was never published', async () => {
    let now = 1_000_000;
    const base = memoryStore({ now: () => now });
    const [a, b] = [setUp(base, { ttl: 1_000 }), setUp(base)];
    const told: unknown[] = [];
    for (const { sessions } of [a, b])
      sessions.on('session.expired', ({ sessionId, discarded }) => told.push({ sessionId, discarded }));
    const session = await a.sessions.startSession();
    await session.add('x', 1);
    now += 1_001;
    await Promise.all([a.sessions.recover(), b.sessions.recover()]);
    expect(told).toEqual([]);
    now += 120_000;
    await Promise.all([a.sessions.recover(), b.sessions.recover()]);
    expect(told).toEqual([{ sessionId: session.id, discarded: 1 }]);
    expect([...a.published(), ...b.published()]).toEqual([]);
    await expect(session.commit()).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'expired' });
  });
});

describe('records that can never be replayed', () => {
  /** An instance for which what was just recorded is old: it has no patience with it. */
  const impatient = (base: SessionStore, log: MemoryContingency) =>
    openSessions({ store: base, contingency: log, ttl: 1, recovery: false, logger: false });
  const aMoment = () => new Promise((resolve) => setTimeout(resolve, 5));

  test('of a session that nobody knows wait for another log, and go to quarantine in the end', async () => {
    const base = memoryStore();
    const { sessions, store, log } = setUp(base);
    const quarantined: string[] = [];
    store.fault = 'down';
    await sessions.session('never-started').add('a', 1);
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ quarantined: 0, remaining: 1, complete: false });
    await aMoment();
    const other = impatient(base, log);
    other.on('contingency.quarantined', ({ reason }) => quarantined.push(reason));
    expect(await other.recover()).toMatchObject({ quarantined: 1, remaining: 0 });
    expect(log.quarantined).toMatchObject([{ record: { kind: 'event.added', sessionId: 'never-started' } }]);
    expect(quarantined).toHaveLength(1);
  });

  test.each([
    ['before', -1],
    ['after', 1],
  ])('one from far %s the time of this host waits no longer', async (_, side) => {
    const log = memoryContingency();
    const event = '{"specversion":"1.0","id":"e-1","data":1}';
    const at = Date.now() + side * 60_000;
    await log.append([{ kind: 'event.added', sessionId: 'never-started', at, topic: 't', event }]);
    const patient = openSessions({ contingency: log, ttl: 3_600_000, recovery: false, logger: false });
    expect(await patient.recover()).toMatchObject({ quarantined: 0, remaining: 1 });
    const brief = openSessions({ contingency: log, ttl: 30_000, recovery: false, logger: false });
    expect(await brief.recover()).toMatchObject({ quarantined: 1, remaining: 0 });
  });

  test('a commit whose expectedEvents is not met leaves its session open', async () => {
    const base = memoryStore();
    const { sessions, store, log, published } = setUp(base);
    const session = await sessions.startSession();
    store.fault = 'down';
    await session.add('a', 1);
    await session.commit({ expectedEvents: 5 });
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ quarantined: 0, remaining: 1, published: 0 });
    await aMoment();
    expect(await impatient(base, log).recover()).toMatchObject({ quarantined: 1, published: 0 });
    expect(log.quarantined).toMatchObject([{ record: { kind: 'session.commit_requested' } }]);
    expect(published()).toEqual([]);
    expect((await session.status()).status).toBe('open');
  });

  test('a commit whose session has more than expectedEvents already does not wait for others', async () => {
    const { sessions, store, log, published } = setUp(memoryStore());
    const session = await sessions.startSession();
    await session.addMany([1, 2].map((data) => ({ type: 'a', data })));
    store.fault = 'down';
    await session.commit({ expectedEvents: 1 });
    store.fault = 'up';
    expect(await sessions.recover()).toMatchObject({ quarantined: 1, remaining: 0, published: 0 });
    expect(log.quarantined).toMatchObject([{ record: { kind: 'session.commit_requested' } }]);
    expect(published()).toEqual([]);
    expect((await session.status()).status).toBe('open');
  });

  test('an event that the broker refuses for good does not hold up the others', async () => {
    const { EventSessionsError } = await import('event-sessions');
    const log = memoryContingency();
    const publisher = memoryPublisher({
      onPublish: ({ events }) => {
        if (events.some(({ json }) => json.includes('"poison"'))) {
          throw new EventSessionsError('PUBLISH_FAILED', 'refused', { outcome: 'refused' });
        }
      },
    });
    const sessions = openSessions({ publisher, contingency: log, recovery: false, logger: false });
    const session = await sessions.startSession();
    await session.addMany(['a', 'poison', 'b'].map((data) => ({ type: 't', data })));
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 2, deferred: 1 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual(['a', 'b']);
    expect(await sessions.recover()).toMatchObject({ quarantined: 1, remaining: 0 });
    expect(log.quarantined).toMatchObject([{ record: { kind: 'event.unpublished', sequence: 2 } }]);
  });
});

describe('what it tells', () => {
  test('degraded and restored, once each, for store and publisher', async () => {
    const { sessions, store, broker } = setUp();
    const told: string[] = [];
    for (const type of [
      'store.degraded',
      'store.restored',
      'publisher.degraded',
      'publisher.restored',
    ] as const) {
      sessions.on(type, () => told.push(type));
    }
    const session = await sessions.startSession();
    store.fault = 'down';
    await session.add('a', 1);
    await session.add('a', 2);
    store.fault = 'up';
    broker.down = true;
    await session.commit();
    broker.down = false;
    await sessions.recover();
    expect(told).toEqual(['store.degraded', 'store.restored', 'publisher.degraded', 'publisher.restored']);
  });

  test('an open circuit spares the store, and a probe closes it', async () => {
    const { sessions, store } = setUp();
    const session = await sessions.startSession();
    let asked = 0;
    store.decide = () => {
      asked += 1;
      return 'down';
    };
    for (let i = 0; i < 20; i += 1) await session.add('a', i);
    expect(asked).toBe(5);
  });

  test('recovery asks although the circuit is open, and keeps everything while the store is away', async () => {
    const { sessions, store, log } = setUp();
    store.fault = 'down';
    for (let i = 0; i < 10; i += 1) await (await sessions.startSession()).add('a', i);
    const waiting = log.records.length;
    let asked = 0;
    store.decide = () => {
      asked += 1;
      return 'down';
    };
    expect(await sessions.recover()).toMatchObject({ remaining: waiting, complete: false, events: 0 });
    // One command, and one ping to see whether it is the store or only this session.
    expect(asked).toBe(2);
    store.decide = () => 'up';
    expect(await sessions.recover()).toMatchObject({ remaining: 0, complete: true, events: 10 });
  });

  test('health follows, and counts the backlog', async () => {
    const { sessions, store } = setUp();
    expect(await sessions.health()).toMatchObject({
      status: 'ok',
      store: { status: 'up' },
      backlog: { records: 0 },
    });
    const session = await sessions.startSession();
    store.fault = 'down';
    await session.add('a', 1);
    expect(await sessions.health()).toMatchObject({
      status: 'degraded',
      store: { status: 'down', error: 'the store is down' },
      contingency: { status: 'up' },
      backlog: { records: 1 },
    });
    expect((await sessions.metrics()).contingency).toMatchObject({ records: 1 });
  });

  test('recover reports progress, and a second call shares the pass', async () => {
    const { sessions, store } = setUp();
    store.fault = 'down';
    for (let i = 0; i < 3; i += 1) await (await sessions.startSession()).add('a', i);
    store.fault = 'up';
    const seen: { sessions: number; records: number; remaining: number }[] = [];
    const seenToo: unknown[] = [];
    const [first, second, third] = await Promise.all([
      sessions.recover({ onProgress: (progress) => seen.push(progress) }),
      sessions.recover(),
      sessions.recover({ onProgress: (progress) => seenToo.push(progress) }),
    ]);
    expect(second).toBe(first);
    expect(third).toBe(first);
    expect(seenToo).toEqual(seen);
    expect(first).toMatchObject({ sessions: 3, events: 3 });
    expect([...new Set(seen.map((progress) => progress.sessions))]).toEqual([0, 1, 2, 3]);
    expect([...new Set(seen.map((progress) => progress.remaining))]).toEqual([4, 2, 0]);
    expect(seen.every(({ records }) => records === 6)).toBe(true);
  });
});

describe('a circuit that is open', () => {
  const PROBE_AFTER_MS = 5_000;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** From here on the store is asked nothing but whether it is there. */
  async function openCircuit() {
    const all = setUp();
    const session = await all.sessions.startSession();
    const asked: string[] = [];
    all.store.decide = (method) => {
      asked.push(method);
      return 'down';
    };
    for (let i = 0; i < 5; i += 1) await session.add('a', i);
    asked.length = 0;
    return { ...all, session, asked };
  }

  test('is probed in the background: no call waits for a store that is away, however often', async () => {
    const { sessions, session, asked } = await openCircuit();
    // The first one at once.
    for (let pass = 1; pass <= 3; pass += 1) {
      await vi.advanceTimersByTimeAsync(PROBE_AFTER_MS);
      expect(await session.add('a', pass)).toMatchObject({ deferred: true });
      expect(asked).toEqual(Array(pass + 1).fill('ping'));
    }
    await sessions.close();
    await vi.advanceTimersByTimeAsync(10 * PROBE_AFTER_MS);
    expect(asked).toHaveLength(4);
  });

  test('lets the next call through when the store is back, and tells so', async () => {
    const { sessions, store, session, published } = await openCircuit();
    let restored = 0;
    sessions.on('store.restored', () => {
      restored += 1;
    });
    store.decide = undefined;
    expect(await session.add('a', 5)).toMatchObject({ deferred: true });
    await vi.advanceTimersByTimeAsync(PROBE_AFTER_MS);
    expect(await session.add('a', 6)).toMatchObject({ deferred: false });
    expect(restored).toBe(1);
    await session.commit();
    expect(published()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('of the broker is probed as well, and no commit waits for it', async () => {
    const pings: number[] = [];
    let down = true;
    const memory = memoryPublisher({
      onPublish: () => {
        if (down) throw new Error('the broker is down');
      },
    });
    const publisher = {
      ...memory,
      ping: async () => {
        pings.push(pings.length);
        if (down) throw new Error('the broker is down');
      },
    };
    const { sessions } = setUp(memoryStore(), { publisher, commit: { retries: 0 } });
    const committed = () => sessions.transaction((session) => session.add('a', 1));
    for (let i = 0; i < 5; i += 1) await committed();
    await vi.advanceTimersByTimeAsync(PROBE_AFTER_MS);
    expect(pings).toHaveLength(2);
    expect((await committed()).receipt).toMatchObject({ status: 'committed', deferred: 1 });
    down = false;
    await vi.advanceTimersByTimeAsync(PROBE_AFTER_MS);
    expect((await committed()).receipt).toMatchObject({ status: 'committed', published: 1 });
  });
});

import {
  createEventSessions,
  type DomainEvent,
  type DomainEventType,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { expect, test } from 'vitest';
import { DOMAIN_EVENT_TYPES } from '../../src/core/domain-events.js';
import { waitFor } from '../support/wait-for.js';
import { instance } from './instance.js';

/** Collects what is told from now on, in order. */
function listen(sessions: ReturnType<typeof instance>['sessions'], ...types: DomainEventType[]) {
  const told: DomainEvent[] = [];
  for (const type of types.length > 0 ? types : DOMAIN_EVENT_TYPES)
    sessions.on(type, (event) => told.push(event));
  return told;
}

test('a session that is committed, one that is rolled back, and one that expires', async () => {
  const clock = { now: Date.now() };
  const { sessions } = instance({ store: memoryStore({ now: () => clock.now }), instanceId: 'shop-1' });
  const told = listen(sessions);
  const before = Date.now();
  const session = await sessions.startSession({ sessionId: 's-1' });
  await session.addMany([
    { type: 'a', data: 1, id: 'e-1' },
    { type: 'b', data: 2, id: 'e-2' },
  ]);
  await session.add('a', 1, { id: 'e-1' });
  const { durationMs } = await session.commit();
  const other = await sessions.startSession({ sessionId: 's-2' });
  await other.rollback({ reason: 'changed my mind' });
  const third = await sessions.startSession({ sessionId: 's-3', ttl: 1_000 });
  await third.add('a', 3, { id: 'e-3' });
  for (const passed of [1_000, 120_000, 120_000]) {
    clock.now += passed;
    await sessions.recover();
  }

  const base = { at: expect.any(Number), instanceId: 'shop-1' };
  const batch = {
    ...base,
    type: 'batch.published',
    sessionId: 's-1',
    durationMs: expect.any(Number),
    events: 1,
  };
  expect(told).toEqual([
    { ...base, type: 'session.started', sessionId: 's-1', deferred: false },
    { ...base, type: 'event.added', sessionId: 's-1', eventId: 'e-1', topic: 'a', deferred: false },
    { ...base, type: 'event.added', sessionId: 's-1', eventId: 'e-2', topic: 'b', deferred: false },
    { ...base, type: 'session.committing', sessionId: 's-1', epoch: 1, events: 2, cursor: 0 },
    { ...batch, topic: 'a', firstSequence: 1, lastSequence: 1 },
    { ...batch, topic: 'b', firstSequence: 2, lastSequence: 2 },
    {
      ...base,
      type: 'session.committed',
      sessionId: 's-1',
      events: 2,
      published: 2,
      deferred: 0,
      durationMs,
    },
    { ...base, type: 'session.started', sessionId: 's-2', deferred: false },
    {
      ...base,
      type: 'session.rolled_back',
      sessionId: 's-2',
      discarded: 0,
      deferred: false,
      reason: 'changed my mind',
    },
    { ...base, type: 'session.started', sessionId: 's-3', deferred: false },
    { ...base, type: 'event.added', sessionId: 's-3', eventId: 'e-3', topic: 'a', deferred: false },
    { ...base, type: 'session.expired', sessionId: 's-3', discarded: 1 },
  ]);
  for (const { at } of told) {
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
  }
});

test('an outage of the store, and its end', async () => {
  const { sessions, store } = instance();
  const told = listen(sessions);
  store.fault = 'down';
  const session = await sessions.startSession({ sessionId: 's-1' });
  await session.add('a', 1);
  await session.commit();
  expect(told).toMatchObject([
    { type: 'store.degraded', cause: 'the store is down' },
    {
      type: 'contingency.recorded',
      sessionId: 's-1',
      kind: 'session.started',
      records: 1,
      code: 'STORE_UNAVAILABLE',
    },
    { type: 'session.started', sessionId: 's-1', deferred: true },
    { type: 'contingency.recorded', sessionId: 's-1', kind: 'event.added', records: 1 },
    { type: 'event.added', sessionId: 's-1', deferred: true },
    { type: 'contingency.recorded', sessionId: 's-1', kind: 'session.commit_requested', records: 1 },
  ]);
  told.length = 0;
  store.fault = 'up';
  await sessions.recover();
  expect(told).toMatchObject([
    { type: 'store.restored', downMs: expect.any(Number) },
    { type: 'session.committing', sessionId: 's-1' },
    { type: 'batch.published', sessionId: 's-1', events: 1 },
    { type: 'session.committed', sessionId: 's-1', events: 1, published: 1, deferred: 0 },
    { type: 'contingency.recovered', sessionId: 's-1', records: 3, published: 1 },
  ]);
});

test.each<[string, 'cut before' | 'cut after']>([
  ['recovery', 'cut after'],
  ['recovery', 'cut before'],
  ['another commit', 'cut after'],
])('a commit whose end nobody has heard of is told once, by %s (%s)', async (who, fault) => {
  const { sessions, store } = instance();
  const told = listen(sessions, 'session.committed');
  const session = await sessions.startSession();
  await session.add('a', 1);
  store.decide = (method) => (method === 'finishCommit' ? fault : 'up');
  expect(await session.commit()).toMatchObject({ status: 'committing' });
  store.decide = undefined;
  expect(told).toEqual([]);
  if (who === 'recovery') await sessions.recover();
  const receipt = await session.commit();
  await session.commit();
  await sessions.recover();
  const { status: _, ...facts } = receipt;
  expect(told).toMatchObject([{ type: 'session.committed', ...facts }]);
  expect(await sessions.metrics()).toMatchObject({
    sessions: { committed: 1 },
    commitDuration: { count: 1 },
  });
});

test('an outage of the broker, and its end', async () => {
  const { sessions, broker } = instance();
  const told = listen(
    sessions,
    'publisher.degraded',
    'publisher.restored',
    'contingency.recorded',
    'session.committed',
  );
  broker.down = true;
  const session = await sessions.startSession();
  await session.add('a', 1);
  await session.commit();
  broker.down = false;
  await sessions.recover();
  expect(told).toMatchObject([
    { type: 'publisher.degraded', cause: expect.stringContaining('onPublish') },
    { type: 'contingency.recorded', kind: 'event.unpublished', records: 1, code: 'PUBLISH_FAILED' },
    { type: 'session.committed', published: 0, deferred: 1 },
    { type: 'publisher.restored', downMs: expect.any(Number) },
  ]);
});

test('a record that can never be replayed', async () => {
  const { sessions, log } = instance();
  const told = listen(sessions, 'contingency.quarantined');
  await log.append([{ kind: 'session.rollback_requested', sessionId: 'nobody', at: 1 }]);
  await sessions.recover();
  expect(told).toMatchObject([
    {
      type: 'contingency.quarantined',
      sessionId: 'nobody',
      reason: expect.stringContaining('knows this session'),
    },
  ]);
});

test('snapshots come by themselves, in intervals', async () => {
  const { sessions } = instance({ metrics: { intervalMs: 1 } });
  const told = listen(sessions, 'metrics.snapshot');
  await waitFor(() => expect(told.length).toBeGreaterThan(2));
  expect(told[0]).toMatchObject({
    type: 'metrics.snapshot',
    at: expect.any(Number),
    instanceId: sessions.instanceId,
    uptimeMs: expect.any(Number),
    events: { added: 0 },
  });
});

test('nobody asks the store for a snapshot that nobody gets', async () => {
  const { sessions, store } = instance({ metrics: { intervalMs: 1 } });
  const asked: string[] = [];
  store.decide = (method) => {
    asked.push(method);
    return 'up';
  };
  const heard = listen(instance({ metrics: { intervalMs: 1 } }).sessions, 'metrics.snapshot');
  await waitFor(() => expect(heard.length).toBeGreaterThan(5));
  expect(asked).toEqual([]);
  await new Promise((resolve) => sessions.once('metrics.snapshot', resolve));
  expect(asked).toEqual(['countActive']);
});

test('recovery runs by itself, and tells of what it has found', async () => {
  const store = memoryStore();
  const publisher = memoryPublisher();
  const dead = createEventSessions({ store, publisher, recovery: false, logger: false });
  const session = await dead.startSession();
  await session.add('a', 1);
  await store.beginCommit(session.id, { attemptId: 'dead', leaseMs: 1, cause: { instance: 'dead' } });
  await dead.close();
  const { sessions } = instance({ store, publisher, recovery: { intervalMs: 1 } });
  const committed = new Promise<DomainEvent<'session.committed'>>((resolve) =>
    sessions.on('session.committed', resolve),
  );
  expect(await committed).toMatchObject({ sessionId: session.id, published: 1 });
});

test('once is once, off is off', async () => {
  const { sessions } = instance();
  const heard: string[] = [];
  const off = () => heard.push('off');
  sessions.on('session.started', off);
  sessions.once('session.started', () => heard.push('once'));
  sessions.on('session.started', () => heard.push('on'));
  sessions.off('session.started', off);
  await sessions.startSession();
  await sessions.startSession();
  expect(heard).toEqual(['once', 'on', 'on']);
});

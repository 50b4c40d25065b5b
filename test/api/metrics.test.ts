import { type EventSessions, memoryContingency, memoryStore } from 'event-sessions';
import { describe, expect, test } from 'vitest';
import { instance } from './instance.js';

test('every field of a snapshot is live', async () => {
  const clock = { now: Date.now() };
  const memory = memoryStore({ now: () => clock.now });
  const { sessions, broker, log } = instance({ store: memory, instanceId: 'shop-1' });
  const before = Date.now();

  const committed = await sessions.startSession();
  await committed.addMany([1, 2, 3].map((data) => ({ type: 'a', data })));
  const { durationMs } = await committed.commit();

  broker.down = true;
  const owed = await sessions.startSession();
  await owed.addMany([4, 5].map((data) => ({ type: 'a', data })));
  const { durationMs: owedMs } = await owed.commit();

  await (await sessions.startSession()).rollback();
  const gone = await sessions.startSession({ ttl: 1_000 });
  await gone.add('a', 6);
  clock.now += 1_000;
  await sessions.recover();
  clock.now += 120_000;
  await sessions.recover();
  await sessions.startSession();

  const snapshot = await sessions.metrics();
  expect(snapshot).toEqual({
    at: expect.any(Number),
    instanceId: 'shop-1',
    uptimeMs: expect.any(Number),
    events: {
      added: 6,
      processed: 5,
      published: 3,
      deferred: 2,
      failed: 0,
      recovered: 0,
      successRate: 0.6,
      perMinute: 5,
    },
    sessions: { active: 1, started: 5, committed: 2, rolledBack: 1, expired: 1 },
    commitDuration: {
      count: 2,
      meanMs: expect.any(Number),
      p50Ms: expect.any(Number),
      p95Ms: expect.any(Number),
      p99Ms: expect.any(Number),
    },
    failures: {
      SESSION_CORRUPT: 0,
      STORE_UNAVAILABLE: 0,
      PUBLISH_FAILED: 1,
      CONTINGENCY_FAILED: 0,
      UNKNOWN: 0,
    },
    recentFailures: expect.any(Array),
    contingency: { records: 2, bytes: expect.any(Number), oldestAt: expect.any(Number) },
  });
  expect(snapshot.at).toBeGreaterThanOrEqual(before);
  expect(snapshot.at - snapshot.uptimeMs).toBeGreaterThanOrEqual(before - 1_000);
  const { meanMs, p50Ms, p99Ms } = snapshot.commitDuration;
  const [fast, slow] = [Math.min(durationMs, owedMs), Math.max(durationMs, owedMs)];
  const close = (actual: number, expected: number) =>
    expect(Math.abs(actual - expected)).toBeLessThanOrEqual(expected * 0.01 + 0.002);
  close(meanMs, (fast + slow) / 2);
  close(p50Ms, fast);
  close(p99Ms, slow);
  expect(snapshot.recentFailures[0]).toEqual({
    at: expect.any(Number),
    operation: 'event.unpublished',
    sessionId: owed.id,
    code: 'PUBLISH_FAILED',
    message: expect.any(String),
    cause: 'the broker is down',
  });
  expect(snapshot.contingency?.bytes).toBeGreaterThan(0);
  expect(snapshot.contingency?.oldestAt).toBeGreaterThanOrEqual(before);

  broker.down = false;
  await sessions.recover();
  const after = await sessions.metrics();
  expect(after.events).toMatchObject({
    processed: 5,
    published: 3,
    deferred: 2,
    recovered: 2,
    successRate: 0.6,
  });
  expect(after.contingency).toEqual({ records: 0, bytes: 0, oldestAt: undefined });
  expect(log.records).toEqual([]);
});

test('what could not be published nor recorded has failed, until another commit deals with it', async () => {
  const { sessions, broker } = instance({ contingency: memoryContingency({ maxBytes: 1 }) });
  const session = await sessions.startSession();
  await session.addMany([1, 2, 3].map((data) => ({ type: 'a', data })));
  broker.down = true;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    expect((await sessions.metrics()).events).toMatchObject({
      processed: 3,
      failed: 3,
      successRate: 0,
      perMinute: 3,
    });
  }
  broker.down = false;
  await session.commit();
  expect((await sessions.metrics()).events).toMatchObject({
    processed: 3,
    failed: 0,
    published: 3,
    successRate: 1,
  });
  const { recentFailures } = await sessions.metrics();
  expect(recentFailures).toHaveLength(3);
  expect(recentFailures[0]).toMatchObject({ operation: 'commitSession', sessionId: session.id });
});

test('what a commit has left has failed also when the store is gone and the log does not take the request', async () => {
  const { sessions, store } = instance({ contingency: memoryContingency({ maxBytes: 1 }) });
  const session = await sessions.startSession();
  await session.addMany([1, 2, 3].map((data) => ({ type: 'a', data })));
  store.decide = (method) => (method === 'read' ? 'down' : 'up');
  await expect(session.commit()).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
  expect((await sessions.metrics()).events).toMatchObject({ processed: 3, failed: 3 });
  store.decide = undefined;
  // Its lease was given back.
  expect(await session.commit()).toMatchObject({ status: 'committed', published: 3 });
  expect((await sessions.metrics()).events).toMatchObject({ processed: 3, failed: 0 });
});

test('a store that is not asked any more is told with what it failed with', async () => {
  const { sessions, store } = instance({ contingency: false });
  store.fault = 'down';
  const session = sessions.session('s-1');
  for (let call = 1; call <= 5; call += 1) await session.status().catch(() => {});
  const message = 'The store has failed repeatedly and is not asked again yet';
  await expect(session.status()).rejects.toMatchObject({ message, cause: { message: 'the store is down' } });
  const { recentFailures } = await sessions.metrics();
  expect(recentFailures).toContainEqual(expect.objectContaining({ message, cause: 'the store is down' }));
});

describe('what a commit has left counts as failed no longer when another instance has dealt with it', () => {
  test.each<[string, (sessions: EventSessions, sessionId: string) => Promise<unknown>]>([
    ['a commit that finds the receipt', (sessions, sessionId) => sessions.session(sessionId).commit()],
    ['recovery', (sessions) => sessions.recover()],
  ])('says %s', async (_, hear) => {
    const { sessions, broker, store, publisher } = instance({ contingency: false });
    const other = instance({ store, publisher });
    const session = await sessions.startSession();
    await session.add('a', 1);
    broker.down = true;
    await expect(session.commit()).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    await sessions.recover();
    expect((await sessions.metrics()).events).toMatchObject({ processed: 1, failed: 1 });
    broker.down = false;
    await other.sessions.session(session.id).commit();
    await hear(sessions, session.id);
    expect((await sessions.metrics()).events).toMatchObject({ processed: 0, failed: 0 });
    expect((await other.sessions.metrics()).events).toMatchObject({ processed: 1, published: 1 });
  });
});

test('a start that is repeated in an outage is one start', async () => {
  const { sessions, store } = instance();
  const told: unknown[] = [];
  sessions.on('session.started', (event) => told.push(event));
  store.fault = 'down';
  const start = () => sessions.commands.startSession({ sessionId: 's-1' });
  expect(await start()).toEqual({ sessionId: 's-1', status: 'open', created: true, deferred: true });
  expect(await start()).toEqual({ sessionId: 's-1', status: 'open', created: false, deferred: true });
  expect(told).toHaveLength(1);
  expect((await sessions.metrics()).sessions.started).toBe(1);
});

test('of starts and adds at once in an outage, one is the first', async () => {
  const { sessions, store } = instance();
  const told: unknown[] = [];
  sessions.on('*', ({ type }) => told.push(type));
  store.fault = 'down';
  const twice = <T>(call: () => Promise<T>) => Promise.all([call(), call()]);
  const starts = await twice(() => sessions.commands.startSession({ sessionId: 's-1' }));
  expect(starts.map(({ created }) => created)).toEqual([true, false]);
  const session = sessions.session('s-1');
  const adds = await twice(() =>
    session.addMany([1, 2].map((data) => ({ type: 'a', data, id: `e-${data}` }))),
  );
  expect(adds.map(({ events }) => events.map(({ duplicate }) => duplicate))).toEqual([
    [false, false],
    [true, true],
  ]);
  const { sessions: counts, events } = await sessions.metrics();
  expect([counts.started, events.added]).toEqual([1, 2]);
  expect(told.filter((type) => type === 'session.started' || type === 'event.added')).toHaveLength(3);
  store.fault = 'up';
  await sessions.recover();
  expect(await session.status()).toMatchObject({ events: 2 });
});

test("a commit that is over because of its caller's signal is no failure", async () => {
  const { sessions } = instance();
  const session = await sessions.startSession();
  const reason = new Error('enough');
  await expect(session.commit({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(await sessions.metrics()).toMatchObject({ failures: { UNKNOWN: 0 }, recentFailures: [] });
});

test('a batch whose cursor the store has not confirmed is counted by the attempt that publishes it again', async () => {
  const { sessions, store, publisher } = instance({ contingency: false });
  const session = await sessions.startSession();
  await session.addMany([1, 2, 3].map((data) => ({ type: 'a', data })));
  store.decide = (method) => (method === 'advance' || method === 'releaseCommit' ? 'down' : 'up');
  await expect(session.commit()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(publisher.published).toHaveLength(3);
  expect((await sessions.metrics()).events).toMatchObject({ published: 0, failed: 3 });
});

test.each([
  ['published', false],
  ['deferred', true],
])(
  'a batch whose cursor has moved, though nobody heard so, is counted as %s by the next attempt',
  async (what, down) => {
    const { sessions, store, broker } = instance({ commit: { retries: 0, batchEvents: 2 } });
    broker.down = down;
    const session = await sessions.startSession();
    await session.addMany([1, 2, 3, 4, 5].map((data) => ({ type: 'a', data })));
    store.decide = (method) => (method === 'advance' ? 'cut after' : 'up');
    expect(await session.commit()).toMatchObject({ status: 'committing' });
    store.decide = undefined;
    expect(await session.commit()).toMatchObject({ status: 'committed', [what]: 5 });
    expect((await sessions.metrics()).events).toMatchObject({ processed: 5, [what]: 5 });
  },
);

test('what cannot be asked is undefined, and the rest is there', async () => {
  const { sessions, store } = instance({ contingency: false });
  store.fault = 'down';
  const { sessions: counts, contingency, events } = await sessions.metrics();
  expect(counts.active).toBeUndefined();
  expect(contingency).toBeUndefined();
  expect(events.added).toBe(0);
});

test("a caller's mistake is no failure of the system", async () => {
  const { sessions } = instance();
  await expect(sessions.session('nobody').commit()).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
  await expect(sessions.startSession({ ttl: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  expect((await sessions.metrics()).recentFailures).toEqual([]);
});

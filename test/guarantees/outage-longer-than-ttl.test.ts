import {
  createEventSessions,
  type EventSessions,
  type MemoryContingency,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { afterEach, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import { faultyStore } from '../support/faulty-store.js';
import { describeWith } from '../support/services.js';

const opened: EventSessions[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sessions) => sessions.close()));
});

function instanceOn(base: SessionStore) {
  const store = faultyStore(base);
  const log: MemoryContingency = memoryContingency();
  const publisher = memoryPublisher();
  const sessions = createEventSessions({
    store,
    contingency: log,
    publisher,
    recovery: false,
    logger: false,
  });
  opened.push(sessions);
  return { sessions, store, log, published: () => publisher.published.map(({ event }) => event.data) };
}

/** A session with one event, what the work does to it while the store is away, and then its time to live runs out. */
async function outage(
  base: SessionStore,
  work: (session: ReturnType<EventSessions['session']>) => Promise<void>,
) {
  const instance = instanceOn(base);
  const session = await instance.sessions.startSession();
  await session.add('a', 1);
  instance.store.fault = 'down';
  await work(session);
  // Behind the back of the instance, so that it is over only now, however slow the machine is.
  await base.extend(session.id, 20);
  await expect.poll(async () => (await base.get(session.id))?.status).toBe('expired');
  return {
    ...instance,
    session,
    storeIsBack: () => {
      instance.store.fault = 'up';
    },
  };
}

const EXPIRED = { code: 'SESSION_NOT_OPEN', status: 'expired' };

function guarantees(makeStore: () => SessionStore): void {
  test('G1 G6: the events and the commit that were acknowledged are carried out', async () => {
    const base = makeStore();
    const { sessions, session, storeIsBack, published, log } = await outage(base, async (it) => {
      await it.addMany([2, 3].map((data) => ({ type: 'a', data })));
      expect(await it.commit()).toMatchObject({ status: 'committing', deferred: 2 });
    });
    storeIsBack();
    expect(await sessions.recover()).toMatchObject({ events: 2, published: 3, quarantined: 0, remaining: 0 });
    expect(published()).toEqual([1, 2, 3]);
    expect(await session.status()).toMatchObject({ status: 'committed', events: 3 });
    expect([log.records, log.quarantined]).toEqual([[], []]);
  });

  test('G1 G6: also a commit without an add before it, and by the next command instead of recovery', async () => {
    const base = makeStore();
    const { session, storeIsBack, published } = await outage(base, async (it) => {
      expect(await it.commit()).toMatchObject({ status: 'committing' });
    });
    storeIsBack();
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 1, published: 1 });
    expect(published()).toEqual([1]);
  });

  test('G1: deferred events bring their session back, and it goes on', async () => {
    const base = makeStore();
    const { session, storeIsBack, published } = await outage(base, async (it) => {
      expect(await it.add('a', 2)).toMatchObject({ deferred: true });
    });
    storeIsBack();
    expect(await session.add('a', 3)).toMatchObject({ deferred: false });
    expect((await session.status()).expiresAt).toBeGreaterThan(Date.now() + 3_600_000);
    expect(await session.commit()).toMatchObject({ status: 'committed', events: 3 });
    expect(published()).toEqual([1, 2, 3]);
  });

  test('G2: a rollback that was acknowledged is carried out, and the adds before it bring nothing back', async () => {
    const base = makeStore();
    const { sessions, session, storeIsBack, published, log } = await outage(base, async (it) => {
      await it.add('a', 2);
      expect(await it.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
    });
    storeIsBack();
    expect(await sessions.recover()).toMatchObject({
      discarded: 1,
      published: 0,
      quarantined: 0,
      remaining: 0,
    });
    expect((await session.status()).status).toBe('rolled_back');
    expect(published()).toEqual([]);
    expect(log.quarantined).toEqual([]);
  });

  test('G1: another instance that is there first does not end it before it is brought back', async () => {
    const base = makeStore();
    const other = instanceOn(base);
    const told: string[] = [];
    other.sessions.on('session.expired', ({ sessionId }) => told.push(sessionId));
    const { sessions, session, storeIsBack, published } = await outage(base, async (it) => {
      await it.add('a', 2);
      await it.commit();
    });
    for (let i = 0; i < 3; i += 1) await other.sessions.recover();
    storeIsBack();
    await sessions.recover();
    expect(told).toEqual([]);
    expect(await session.status()).toMatchObject({ status: 'committed', published: 2 });
    expect(published()).toEqual([1, 2]);
  });

  test('a command of now is refused, though nobody has ended the session yet', async () => {
    const base = makeStore();
    const { session, storeIsBack, published } = await outage(base, async () => {});
    storeIsBack();
    for (const act of [() => session.add('a', 2), () => session.commit(), () => session.rollback()])
      await expect(act()).rejects.toMatchObject(EXPIRED);
    expect(published()).toEqual([]);
  });

  test('G5: once a session has been ended as expired, what comes back is quarantined', async () => {
    const base = makeStore();
    const { sessions, session, storeIsBack, published, log } = await outage(base, async (it) => {
      await it.add('a', 2);
      await it.commit();
    });
    const atOnce = { retentionMs: 60_000, graceMs: 0, cause: { instance: 'other' } };
    expect(await base.expire(session.id, atOnce)).toEqual({ outcome: 'expired', discarded: 1 });
    storeIsBack();
    expect(await sessions.recover()).toMatchObject({ published: 0, quarantined: 2, remaining: 0 });
    const reason = expect.stringContaining('expired before');
    expect(log.quarantined).toMatchObject([
      { record: { kind: 'event.added' }, reason },
      { record: { kind: 'session.commit_requested' }, reason },
    ]);
    expect((await session.status()).status).toBe('expired');
    expect(published()).toEqual([]);
  });
}

describe('an outage that is longer than the time to live, in memory', () => {
  guarantees(() => memoryStore());
});

describeWith('redis', ({ url }) => {
  describe('an outage that is longer than the time to live, on Redis', () => {
    guarantees(() => redisStore({ url, prefix: `outage-${newId()}` }));
  });
});

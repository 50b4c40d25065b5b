import assert from 'node:assert/strict';
import type {
  AppendOutcome,
  BeginCommitOutcome,
  RollbackOutcome,
  SessionStore,
} from '../ports/session-store.js';
import { eventually } from './conformance-case.js';
import {
  AT_ONCE,
  CAUSE,
  filled,
  isDue,
  LIMITS,
  newEvent,
  newSession,
  PATIENT,
  RETENTION,
  readAll,
  started,
} from './store-sessions.js';

/** An open session with one event that has run out, and when it did, by the store's clock. */
async function overdue(store: SessionStore): Promise<{ sessionId: string; expiredAt: number }> {
  const { sessionId } = await filled(store, 1);
  // Not by its time to live: it might run out before its event has come.
  const extended = await store.extend(sessionId, 20);
  assert.ok(extended.outcome === 'extended', 'it is open until then');
  await eventually(async () => assert.equal((await store.get(sessionId))?.status, 'expired'));
  return { sessionId, expiredAt: extended.expiresAt };
}

type Replay = (
  store: SessionStore,
  sessionId: string,
  asOf: number | undefined,
) => Promise<AppendOutcome | BeginCommitOutcome | RollbackOutcome>;

const REPLAYS: readonly (readonly [done: string, replay: Replay])[] = [
  ['appended', (store, id, asOf) => store.append(id, [newEvent(id)], LIMITS, asOf)],
  ['appended', (store, id, asOf) => store.append(id, [newEvent(id, { id: 'writer-1' })], LIMITS, asOf)],
  [
    'granted',
    (store, id, asOf) => store.beginCommit(id, { attemptId: 'a', leaseMs: 60_000, asOf, cause: CAUSE }),
  ],
  ['rolled_back', (store, id, asOf) => store.rollback(id, { ...RETENTION, asOf })],
];

const EXPIRED = { outcome: 'not_open', status: 'expired' };

export const storeExpiryCases: Record<string, (store: SessionStore) => Promise<void>> = {
  async 'a session past its expiry is expired for every method'(store) {
    const sessionId = await started(store, { ttlMs: 20 });
    await store.append(sessionId, [newEvent(sessionId)], LIMITS);
    await eventually(async () => assert.equal((await store.get(sessionId))?.status, 'expired'));
    const refused = { outcome: 'not_open', status: 'expired' };
    assert.deepEqual(await store.append(sessionId, [newEvent(sessionId)], LIMITS), refused);
    assert.deepEqual(await store.extend(sessionId, 1_000), refused);
    assert.deepEqual(await store.rollback(sessionId, RETENTION), refused);
    assert.deepEqual(
      await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 1_000, cause: CAUSE }),
      refused,
    );
    assert.deepEqual(await store.start(newSession({ sessionId })), { outcome: 'exists', status: 'expired' });
  },

  async 'expire ends an overdue session, once, and no other'(store) {
    const open = await started(store);
    assert.deepEqual(await store.expire(open, AT_ONCE), { outcome: 'not_due' });
    const { sessionId } = await filled(store, 1);
    // Not earlier: a session that runs out before its event has come would have nothing to discard.
    assert.equal((await store.extend(sessionId, 20)).outcome, 'extended');
    await eventually(async () => assert.ok(await isDue(store, sessionId), 'it comes due'));
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => store.expire(sessionId, AT_ONCE)));
    assert.deepEqual(
      outcomes.filter(({ outcome }) => outcome === 'expired'),
      [{ outcome: 'expired', discarded: 1 }],
    );
    const session = await store.get(sessionId);
    assert.deepEqual(
      session?.history.map(({ status, instance }) => [status, instance]),
      [
        ['open', 'conformance'],
        ['expired', 'conformance'],
      ],
    );
    assert.ok(!(await isDue(store, sessionId)), 'an ended session is not due');
    assert.equal((await readAll(store, sessionId)).length, 1);
  },

  async 'an expired session keeps its events while there may be replays, and vanishes after its retention'(
    store,
  ) {
    const { sessionId } = await overdue(store);
    const [event] = await readAll(store, sessionId);
    const { id } = JSON.parse(event ?? '{}') as { id: string };
    assert.deepEqual(await store.contains(sessionId, [id]), [true]);
    const ended = await store.expire(sessionId, { ...AT_ONCE, retentionMs: 20 });
    assert.deepEqual(ended, { outcome: 'expired', discarded: 1 });
    await eventually(async () => assert.equal(await store.get(sessionId), undefined));
    assert.deepEqual(await readAll(store, sessionId), []);
  },

  async 'expire gives a grace, from the first time that it finds the session overdue'(store) {
    const { sessionId } = await overdue(store);
    for (let i = 0; i < 2; i += 1) {
      assert.deepEqual(await store.expire(sessionId, PATIENT), { outcome: 'not_due' });
      assert.ok(!(await isDue(store, sessionId)), 'in its grace a session is not due');
    }
    const session = await store.get(sessionId);
    assert.deepEqual([session?.status, session?.history.map(({ status }) => status)], ['expired', ['open']]);

    const { sessionId: other } = await overdue(store);
    const short = { ...RETENTION, graceMs: 20 };
    assert.deepEqual(await store.expire(other, short), { outcome: 'not_due' });
    await eventually(async () => assert.ok(await isDue(store, other), 'it comes due again'));
    assert.deepEqual(await store.expire(other, PATIENT), { outcome: 'expired', discarded: 1 });
  },

  async 'a replay is taken by a session that had not run out by then, though it has since'(store) {
    for (const [done, replay] of REPLAYS) {
      const { sessionId, expiredAt } = await overdue(store);
      assert.deepEqual(await replay(store, sessionId, undefined), EXPIRED);
      assert.deepEqual(await replay(store, sessionId, expiredAt), EXPIRED);
      assert.equal((await replay(store, sessionId, expiredAt - 1)).outcome, done);
    }
  },

  async 'a session that a replay has renewed lives on from now, and has its grace again'(store) {
    const { sessionId, expiredAt } = await overdue(store);
    const patient = { ...RETENTION, graceMs: 20 };
    assert.deepEqual(await store.expire(sessionId, patient), { outcome: 'not_due' });
    await eventually(async () => assert.ok(await isDue(store, sessionId), 'its grace is over'));
    const replayed = await store.append(sessionId, [newEvent(sessionId)], LIMITS, expiredAt - 1);
    assert.deepEqual(replayed, { outcome: 'appended', duplicates: [], events: 2 });
    const session = await store.get(sessionId);
    assert.equal(session?.status, 'open');
    assert.ok((session?.expiresAt ?? 0) >= expiredAt + 60_000, 'it lives for its time to live from now');
    assert.deepEqual(await store.expire(sessionId, AT_ONCE), { outcome: 'not_due' });
    assert.equal((await store.append(sessionId, [newEvent(sessionId)], LIMITS)).outcome, 'appended');

    await store.extend(sessionId, 20);
    await eventually(async () => assert.equal((await store.get(sessionId))?.status, 'expired'));
    assert.deepEqual(await store.expire(sessionId, PATIENT), {
      outcome: 'not_due',
    });
  },

  async 'a commit that a replay has begun comes due with its lease, whatever grace the session had'(store) {
    const { sessionId, expiredAt } = await overdue(store);
    assert.deepEqual(await store.expire(sessionId, PATIENT), { outcome: 'not_due' });
    const attempt = { attemptId: 'a', leaseMs: 60_000, asOf: expiredAt - 1, cause: CAUSE };
    const begun = await store.beginCommit(sessionId, attempt);
    assert.ok(begun.outcome === 'granted', `it is ${begun.outcome}`);
    assert.ok(!(await isDue(store, sessionId)), 'a commit whose lease is alive is not due');
    assert.deepEqual(await store.releaseCommit(sessionId, begun.epoch), { outcome: 'done' });
    assert.ok(await isDue(store, sessionId), 'a commit whose lease was given back is due');
  },

  async 'a session that was ended as expired stays so, for every replay'(store) {
    for (const [, replay] of REPLAYS) {
      const { sessionId } = await overdue(store);
      assert.equal((await store.expire(sessionId, AT_ONCE)).outcome, 'expired');
      assert.deepEqual(await replay(store, sessionId, 0), EXPIRED);
      assert.equal((await store.get(sessionId))?.events, 1);
    }
  },

  async 'a replay from the future counts as now'(store) {
    const future = Date.now() + 3_600_000;
    for (const [done, replay] of REPLAYS) {
      const { sessionId } = await overdue(store);
      assert.deepEqual(await replay(store, sessionId, future), EXPIRED);
      const open = await started(store, { ttlMs: 60_000 });
      assert.equal((await replay(store, open, future)).outcome, done);
      const { status, createdAt = 0, expiresAt } = (await store.get(open)) ?? {};
      if (status === 'open') assert.ok((expiresAt ?? 0) < createdAt + 1_000_000, 'no longer than from now');
    }
  },

  async 'a rollback as of 0 ends a session that has run out long ago'(store) {
    const { sessionId } = await overdue(store);
    const answer = await store.rollback(sessionId, { ...RETENTION, asOf: 0 });
    assert.deepEqual(answer, { outcome: 'rolled_back', discarded: 1, repeated: false });
    assert.equal((await store.get(sessionId))?.status, 'rolled_back');
  },
};

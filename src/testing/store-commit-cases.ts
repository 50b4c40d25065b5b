import assert from 'node:assert/strict';
import type { CommitReceipt } from '../core/lifecycle.js';
import type { CommitAttempt, SessionStore } from '../ports/session-store.js';
import { eventually } from './conformance-case.js';
import {
  AT_ONCE,
  CAUSE,
  filled,
  isDue,
  LIMITS,
  newEvent,
  RETENTION,
  readAll,
  started,
} from './store-sessions.js';

const attempt = (attemptId: string, change: Partial<CommitAttempt> = {}): CommitAttempt => ({
  attemptId,
  leaseMs: 60_000,
  cause: CAUSE,
  ...change,
});

const progress = (epoch: number, cursor: number, deferred = 0) => ({
  epoch,
  cursor,
  deferred,
  leaseMs: 60_000,
});

function finish(sessionId: string, epoch: number, events: number, deferred = 0) {
  const published = events - deferred;
  const receipt: CommitReceipt = {
    sessionId,
    status: 'committed',
    events,
    published,
    deferred,
    durationMs: 1.5,
  };
  return { epoch, cursor: events, deferred, receipt, ...RETENTION };
}

/** A session whose first attempt has the lease. */
async function committing(
  store: SessionStore,
  events: number,
  change: Partial<CommitAttempt> = {},
): Promise<string> {
  const { sessionId } = await filled(store, events);
  assert.equal((await store.beginCommit(sessionId, attempt('first', change))).outcome, 'granted');
  return sessionId;
}

/** Takes over as soon as the lease is over. */
async function takeOver(store: SessionStore, sessionId: string, attemptId: string) {
  let granted: Awaited<ReturnType<SessionStore['beginCommit']>> | undefined;
  await eventually(async () => {
    granted = await store.beginCommit(sessionId, attempt(attemptId));
    assert.equal(granted.outcome, 'granted');
  });
  return granted;
}

export const storeCommitCases: Record<string, (store: SessionStore) => Promise<void>> = {
  async 'beginCommit grants the lease under epoch 1, from the first event'(store) {
    const { sessionId } = await filled(store, 3);
    const granted = { outcome: 'granted', epoch: 1, cursor: 0, deferred: 0, events: 3 };
    assert.deepEqual(await store.beginCommit(sessionId, attempt('a')), granted);
    const session = await store.get(sessionId);
    assert.equal(session?.status, 'committing');
    assert.equal(session?.expiresAt, undefined);
    assert.ok(
      (session?.leaseExpiresAt ?? 0) >= (session?.createdAt ?? 0) + 60_000,
      'the lease lasts as long as asked for',
    );
    assert.deepEqual(
      session?.history.map(({ status, instance }) => [status, instance]),
      [
        ['open', 'conformance'],
        ['committing', 'conformance'],
      ],
    );
  },

  async 'beginCommit of an empty session is granted'(store) {
    const sessionId = await started(store);
    const granted = { outcome: 'granted', epoch: 1, cursor: 0, deferred: 0, events: 0 };
    assert.deepEqual(await store.beginCommit(sessionId, attempt('a')), granted);
    assert.deepEqual(await store.finishCommit(sessionId, finish(sessionId, 1, 0)), { outcome: 'done' });
  },

  async 'a committing session takes no events, no rollback, no extension and does not expire'(store) {
    const sessionId = await committing(store, 1);
    const refused = { outcome: 'not_open', status: 'committing' };
    assert.deepEqual(await store.append(sessionId, [newEvent(sessionId)], LIMITS), refused);
    assert.deepEqual(await store.rollback(sessionId, RETENTION), refused);
    assert.deepEqual(await store.extend(sessionId, 1_000), refused);
    assert.deepEqual(await store.expire(sessionId, AT_ONCE), { outcome: 'not_due' });
  },

  async 'another attempt is told to wait while the lease is alive'(store) {
    const leaseMs = 3_600_000;
    const sessionId = await committing(store, 1, { leaseMs });
    const other = await store.beginCommit(sessionId, attempt('second'));
    assert.equal(other.outcome, 'in_progress');
    assert.ok(
      other.retryAfterMs > leaseMs / 2 && other.retryAfterMs <= leaseMs,
      `retryAfterMs is ${other.retryAfterMs}`,
    );
    assert.equal((await store.get(sessionId))?.epoch, 1);
  },

  async 'the same attempt asked again renews its lease and keeps its epoch, whatever it expects'(store) {
    const sessionId = await committing(store, 2);
    const granted = { outcome: 'granted', epoch: 1, cursor: 0, deferred: 0, events: 2 };
    const { leaseExpiresAt = 0 } = (await store.get(sessionId)) ?? {};
    const again = attempt('first', { leaseMs: 600_000, expectedEvents: 3 });
    assert.deepEqual(await store.beginCommit(sessionId, again), granted);
    assert.ok(
      ((await store.get(sessionId))?.leaseExpiresAt ?? 0) >= leaseExpiresAt + 500_000,
      'the lease is renewed',
    );
    assert.deepEqual(
      (await store.get(sessionId))?.history.map(({ status }) => status),
      ['open', 'committing'],
    );
  },

  async 'when the lease is over, the next attempt goes on at the cursor under the next epoch'(store) {
    const sessionId = await committing(store, 5);
    await store.advance(sessionId, { epoch: 1, cursor: 3, deferred: 1, leaseMs: 20 });
    const granted = await takeOver(store, sessionId, 'second');
    assert.deepEqual(granted, { outcome: 'granted', epoch: 2, cursor: 3, deferred: 1, events: 5 });
    const statuses = (await store.get(sessionId))?.history.map(({ status }) => status);
    assert.deepEqual(statuses, ['open', 'committing', 'committing']);
  },

  async 'a stale epoch can move nothing'(store) {
    const sessionId = await committing(store, 2, { leaseMs: 20 });
    await takeOver(store, sessionId, 'second');
    const stale = { outcome: 'stale' };
    assert.deepEqual(await store.advance(sessionId, progress(1, 2)), stale);
    assert.deepEqual(await store.finishCommit(sessionId, finish(sessionId, 1, 2)), stale);
    assert.deepEqual(await store.releaseCommit(sessionId, 1), stale);
    assert.deepEqual(await store.advance(sessionId, progress(3, 2)), stale);
    assert.deepEqual(await store.finishCommit(sessionId, finish(sessionId, 3, 2)), stale);
    assert.deepEqual(await store.releaseCommit(sessionId, 3), stale);
    const session = await store.get(sessionId);
    assert.deepEqual([session?.status, session?.epoch, session?.cursor], ['committing', 2, 0]);
  },

  async 'a session that is not being committed is moved by no epoch'(store) {
    const { sessionId: open } = await filled(store, 1);
    const { sessionId: rolledBack } = await filled(store, 1);
    await store.rollback(rolledBack, RETENTION);
    for (const [sessionId, status] of [
      [open, 'open'],
      [rolledBack, 'rolled_back'],
    ] as const) {
      assert.deepEqual(await store.advance(sessionId, progress(0, 1)), { outcome: 'stale' });
      assert.deepEqual(await store.finishCommit(sessionId, finish(sessionId, 0, 1)), { outcome: 'stale' });
      assert.deepEqual(await store.releaseCommit(sessionId, 0), { outcome: 'stale' });
      const session = await store.get(sessionId);
      assert.deepEqual([session?.status, session?.cursor], [status, 0]);
    }
  },

  async 'of concurrent attempts exactly one is granted'(store) {
    const { sessionId } = await filled(store, 1);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.beginCommit(sessionId, attempt(`attempt-${i}`))),
    );
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'granted').length, 1);
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'in_progress').length, 19);
  },

  async 'of concurrent commits and rollbacks exactly one kind wins'(store) {
    for (let round = 0; round < 10; round += 1) {
      const { sessionId } = await filled(store, 1);
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, async (_, i) =>
          i % 2 === round % 2
            ? (await store.beginCommit(sessionId, attempt(`attempt-${i}`))).outcome
            : (await store.rollback(sessionId, RETENTION)).outcome,
        ),
      );
      const granted = outcomes.filter((outcome) => outcome === 'granted').length;
      const rolledBack = outcomes.filter((outcome) => outcome === 'rolled_back').length;
      assert.ok((granted === 1 && rolledBack === 0) || (granted === 0 && rolledBack === 5), String(outcomes));
    }
  },

  async 'advance moves the cursor forward only, and renews the lease'(store) {
    const sessionId = await committing(store, 5, { leaseMs: 30_000 });
    const before = (await store.get(sessionId))?.leaseExpiresAt ?? 0;
    assert.deepEqual(await store.advance(sessionId, progress(1, 3, 1)), { outcome: 'done' });
    assert.deepEqual(await store.advance(sessionId, progress(1, 2, 0)), { outcome: 'done' });
    const session = await store.get(sessionId);
    assert.deepEqual([session?.cursor, session?.deferred], [3, 1]);
    const leaseExpiresAt = session?.leaseExpiresAt ?? 0;
    assert.ok(leaseExpiresAt > before, 'the lease is renewed');
    // As an attempt does it that waits for its broker.
    await store.advance(sessionId, { ...progress(1, 3, 1), leaseMs: 600_000 });
    assert.ok(
      ((await store.get(sessionId))?.leaseExpiresAt ?? 0) >= leaseExpiresAt + 500_000,
      'the lease is renewed where the cursor is',
    );
  },

  async 'what a caller does to its receipts and records changes nothing in the store'(store) {
    const sessionId = await committing(store, 3);
    const ending = finish(sessionId, 1, 3);
    const receipt = { ...ending.receipt };
    await store.finishCommit(sessionId, ending);
    Object.assign(ending.receipt, { published: 99 });
    for (let asked = 0; asked < 2; asked += 1) {
      const again = await store.beginCommit(sessionId, attempt('later'));
      assert.deepEqual(again, { outcome: 'committed', receipt });
      if (again.outcome === 'committed') Object.assign(again.receipt, { published: 99 });
      const session = await store.get(sessionId);
      assert.equal(session?.history.at(-1)?.status, 'committed');
      Object.assign(session?.history.at(-1) ?? {}, { status: 'open' });
    }
  },

  async 'finishCommit keeps the receipt word for word, and repeats'(store) {
    const sessionId = await committing(store, 3);
    const ending = finish(sessionId, 1, 3, 1);
    assert.deepEqual(await store.finishCommit(sessionId, ending), { outcome: 'done' });
    const repeated = { ...ending, receipt: { ...ending.receipt, durationMs: 99 } };
    assert.deepEqual(await store.finishCommit(sessionId, repeated), { outcome: 'done' });
    const again = await store.beginCommit(sessionId, attempt('later'));
    assert.deepEqual(again, { outcome: 'committed', receipt: ending.receipt });
    const session = await store.get(sessionId);
    assert.deepEqual([session?.status, session?.cursor, session?.deferred], ['committed', 3, 1]);
    assert.equal(session?.leaseExpiresAt, undefined);
    assert.deepEqual(
      session?.history.map(({ status, instance }) => [status, instance]),
      [
        ['open', 'conformance'],
        ['committing', 'conformance'],
        ['committed', 'conformance'],
      ],
    );
    assert.ok(
      (session?.expiresAt ?? 0) >= (session?.createdAt ?? 0) + RETENTION.retentionMs,
      'it stays for the retention',
    );
  },

  async 'a committed session vanishes after its retention'(store) {
    const sessionId = await committing(store, 1);
    const ending = { ...finish(sessionId, 1, 1), retentionMs: 20 };
    assert.deepEqual(await store.finishCommit(sessionId, ending), { outcome: 'done' });
    await eventually(async () => assert.equal(await store.get(sessionId), undefined));
    assert.deepEqual(await readAll(store, sessionId), []);
  },

  async 'finishCommit is refused while events are missing'(store) {
    const sessionId = await committing(store, 3);
    for (const cursor of [2, 4]) {
      const wrong = { ...finish(sessionId, 1, 3), cursor };
      assert.deepEqual(await store.finishCommit(sessionId, wrong), { outcome: 'stale' });
    }
    assert.equal((await store.get(sessionId))?.status, 'committing');
  },

  async 'a committed session stays readable and refuses everything else'(store) {
    const sessionId = await committing(store, 2);
    await store.finishCommit(sessionId, finish(sessionId, 1, 2));
    const refused = { outcome: 'not_open', status: 'committed' };
    assert.deepEqual(await store.append(sessionId, [newEvent(sessionId)], LIMITS), refused);
    assert.deepEqual(await store.rollback(sessionId, RETENTION), refused);
    assert.deepEqual(await store.advance(sessionId, progress(1, 2)), { outcome: 'stale' });
    assert.deepEqual(await store.expire(sessionId, AT_ONCE), { outcome: 'not_due' });
    assert.equal((await readAll(store, sessionId)).length, 2);
  },

  async 'releaseCommit lets the next attempt in at once'(store) {
    const sessionId = await committing(store, 2);
    await store.advance(sessionId, progress(1, 1));
    for (let i = 0; i < 2; i += 1) {
      assert.deepEqual(await store.releaseCommit(sessionId, 1), { outcome: 'done' });
    }
    assert.equal((await store.get(sessionId))?.leaseExpiresAt, undefined);
    assert.ok(await isDue(store, sessionId), 'a commit whose lease was given back is due');
    const granted = { outcome: 'granted', epoch: 2, cursor: 1, deferred: 0, events: 2 };
    assert.deepEqual(await store.beginCommit(sessionId, attempt('second')), granted);
  },

  async 'expectedEvents that is not met leaves the session open'(store) {
    const { sessionId } = await filled(store, 3);
    const wrong = await store.beginCommit(sessionId, attempt('a', { expectedEvents: 4 }));
    assert.deepEqual(wrong, { outcome: 'mismatch', events: 3 });
    assert.equal((await store.get(sessionId))?.status, 'open');
    const none = await store.beginCommit(sessionId, attempt('a', { expectedEvents: 0 }));
    assert.deepEqual(none, { outcome: 'mismatch', events: 3 });
    assert.equal((await store.append(sessionId, [newEvent(sessionId)], LIMITS)).outcome, 'appended');
    const right = await store.beginCommit(sessionId, attempt('a', { expectedEvents: 4 }));
    assert.deepEqual(right, { outcome: 'granted', epoch: 1, cursor: 0, deferred: 0, events: 4 });
  },

  async 'due names an interrupted commit once its lease is over, and not before'(store) {
    const [alive, sessionId] = [await committing(store, 1), await committing(store, 1, { leaseMs: 20 })];
    await eventually(async () => assert.ok(await isDue(store, sessionId), 'it comes due'));
    assert.ok(!(await isDue(store, alive)), 'a commit whose lease is alive is not due');
    await takeOver(store, sessionId, 'second');
    assert.ok(!(await isDue(store, sessionId)), 'a commit that was taken over is not due');
  },

  async 'a session that is extended to a nearer time comes due then'(store) {
    const sessionId = await started(store);
    await store.extend(sessionId, 20);
    await eventually(async () => assert.ok(await isDue(store, sessionId), 'it comes due'));
  },

  async 'a session that is added to does not come due at its first expiry'(store) {
    let ttlMs = 20;
    let sessionId = await started(store, { ttlMs });
    // On a busy machine it may run out before it is extended.
    while ((await store.extend(sessionId, 60_000)).outcome !== 'extended') {
      assert.ok(ttlMs < 10_000, 'a session that has not run out can be extended');
      ttlMs *= 2;
      sessionId = await started(store, { ttlMs });
    }
    await eventually(async () => {
      const { createdAt = 0 } = (await store.get(sessionId)) ?? {};
      assert.ok(Date.now() > createdAt + ttlMs + 80, 'its first expiry has passed');
    });
    assert.ok(!(await isDue(store, sessionId)), 'an extended session is not due');
    assert.equal((await store.get(sessionId))?.status, 'open');
  },

  async 'a history stays bounded however often a commit is taken over'(store) {
    const sessionId = await committing(store, 1);
    const cause = { ...CAUSE, reason: 'x'.repeat(1_000) };
    for (let epoch = 1; epoch <= 60; epoch += 1) {
      await store.releaseCommit(sessionId, epoch);
      const taken = await store.beginCommit(sessionId, { ...attempt(`attempt-${epoch}`), cause });
      assert.equal(taken.outcome, 'granted');
    }
    await store.finishCommit(sessionId, finish(sessionId, 61, 1));
    const history = (await store.get(sessionId))?.history ?? [];
    assert.ok(JSON.stringify(history).length < 50_000, `the history has ${history.length} entries`);
    assert.deepEqual([history.at(0)?.status, history.at(-1)?.status], ['open', 'committed']);
  },
};

import assert from 'node:assert/strict';
import type { AcceptedEvent } from '../core/event.js';
import { newId } from '../core/ids.js';
import type { SessionStore } from '../ports/session-store.js';
import { type ConformanceCase, eventually, runOn } from './conformance-case.js';
import { storeCommitCases } from './store-commit-cases.js';
import { storeExpiryCases } from './store-expiry-cases.js';
import {
  AT_ONCE,
  CAUSE,
  filled,
  isDue,
  LIMITS,
  newEvent,
  newSession,
  RETENTION,
  readAll,
  started,
} from './store-sessions.js';

export interface StoreUnderTest {
  readonly store: SessionStore;
  /** Called after the case, when the store is closed. */
  readonly dispose?: (() => Promise<void>) | undefined;
}

/**
 * The conformance suite of {@link SessionStore}: each rule of the port is a case. `make` is called for each case; its
 * stores may share a server, since each case uses session ids of its own.
 *
 * ```ts
 * for (const { name, run } of sessionStoreCases(async () => ({ store: myStore() }))) test(name, run);
 * ```
 */
export function sessionStoreCases(make: () => Promise<StoreUnderTest>): readonly ConformanceCase[] {
  const cases = { ...BASIC_CASES, ...storeExpiryCases, ...storeCommitCases };
  return Object.entries(cases).map(([name, check]) => ({
    name,
    run: () =>
      runOn(
        make,
        ({ store }) => store,
        ({ store }) => check(store),
      ),
  }));
}

type Check = (store: SessionStore) => Promise<void>;

const BASIC_CASES: Record<string, Check> = {
  async 'start creates an open session, with its metadata, its expiry and a first line of history'(store) {
    const sessionId = await started(store, {
      metadata: '{"user":"u-1","text":"ü \\u2028 😀"}',
      ttlMs: 50_000,
    });
    const session = await store.get(sessionId);
    assert.ok(session, 'a session that was started is there');
    assert.equal(session.status, 'open');
    assert.equal(session.metadata, '{"user":"u-1","text":"ü \\u2028 😀"}');
    assert.deepEqual(
      [session.events, session.bytes, session.cursor, session.deferred, session.epoch],
      [0, 0, 0, 0, 0],
    );
    assert.equal(session.expiresAt, session.createdAt + 50_000);
    assert.equal(session.leaseExpiresAt, undefined);
    assert.deepEqual(session.history, [{ status: 'open', at: session.createdAt, instance: 'conformance' }]);
  },

  async 'start of an existing session changes nothing and answers its status'(store) {
    const session = newSession({ metadata: '{"first":true}' });
    await store.start(session);
    assert.deepEqual(await store.start({ ...session, metadata: '{}' }), {
      outcome: 'exists',
      status: 'open',
    });
    assert.equal((await store.get(session.sessionId))?.metadata, '{"first":true}');
    await store.rollback(session.sessionId, RETENTION);
    assert.deepEqual(await store.start(session), { outcome: 'exists', status: 'rolled_back' });
  },

  async 'of concurrent starts of one id, exactly one creates'(store) {
    const session = newSession();
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => store.start(session)));
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'created').length, 1);
  },

  async 'an unknown session is not found, by any method'(store) {
    const id = newId();
    assert.equal(await store.get(id), undefined);
    assert.deepEqual(await store.append(id, [newEvent(id)], LIMITS), { outcome: 'not_found' });
    assert.deepEqual(await store.extend(id, 1_000), { outcome: 'not_found' });
    assert.deepEqual(await store.beginCommit(id, { attemptId: 'a', leaseMs: 1_000, cause: CAUSE }), {
      outcome: 'not_found',
    });
    assert.deepEqual(await store.advance(id, { epoch: 1, cursor: 1, deferred: 0, leaseMs: 1_000 }), {
      outcome: 'not_found',
    });
    assert.deepEqual(await store.releaseCommit(id, 1), { outcome: 'not_found' });
    assert.deepEqual(await store.rollback(id, RETENTION), { outcome: 'not_found' });
    assert.deepEqual(await store.expire(id, AT_ONCE), { outcome: 'not_found' });
    assert.deepEqual(await store.read(id, { after: 0, limit: 10, maxBytes: 1_000 }), []);
    assert.deepEqual(await store.contains(id, ['x']), [false]);
  },

  async 'append keeps the order within a call and over calls'(store) {
    const { sessionId, events } = await filled(store, 5);
    const more = [newEvent(sessionId), newEvent(sessionId)];
    const answer = await store.append(sessionId, more, LIMITS);
    assert.deepEqual(answer, { outcome: 'appended', duplicates: [], events: 7 });
    assert.deepEqual(
      await readAll(store, sessionId),
      [...events, ...more].map(({ json }) => json),
    );
  },

  async 'events come back as they were given: text, topic, and sequence from 1'(store) {
    const sessionId = await started(store);
    const data = { text: 'ü 😀 \u2028 \n " \\ \u0000', nested: [1, { a: null }], empty: '' };
    const event = newEvent(sessionId, { data, topic: 'a.b-c_d#ephemeral' });
    // An attribute with a number as its name would move if the text were parsed and written again.
    const numbered = { ...event, id: newId(), json: event.json.replace('{', '{"id":"n","10":"x",') };
    await store.append(sessionId, [newEvent(sessionId), event, numbered], LIMITS);
    const found = await store.read(sessionId, { after: 1, limit: 2, maxBytes: 10_000 });
    assert.deepEqual(
      found.map(({ topic, sequence, json }) => ({ topic, sequence, json })),
      [
        { topic: 'a.b-c_d#ephemeral', sequence: 2, json: event.json },
        { topic: 'a.b-c_d#ephemeral', sequence: 3, json: numbered.json },
      ],
    );
  },

  async 'an event id that the session has is a duplicate: the first stays'(store) {
    const { sessionId, events } = await filled(store, 2);
    const [first, second] = events as [AcceptedEvent, AcceptedEvent];
    const again = newEvent(sessionId, { id: second.id, data: 'again' });
    assert.deepEqual(await store.append(sessionId, [again], LIMITS), {
      outcome: 'appended',
      duplicates: [0],
      events: 2,
    });
    const fresh = newEvent(sessionId);
    const mixed = await store.append(sessionId, [first, fresh, again], LIMITS);
    assert.deepEqual(mixed, { outcome: 'appended', duplicates: [0, 2], events: 3 });
    assert.deepEqual(await readAll(store, sessionId), [first.json, second.json, fresh.json]);
  },

  async 'an event id that comes twice in one call is a duplicate'(store) {
    const sessionId = await started(store);
    const one = newEvent(sessionId, { id: 'twin', data: 1 });
    const two = newEvent(sessionId, { id: 'twin', data: 2 });
    assert.deepEqual(await store.append(sessionId, [one, two], LIMITS), {
      outcome: 'appended',
      duplicates: [1],
      events: 1,
    });
    assert.deepEqual(await readAll(store, sessionId), [one.json]);
  },

  async 'numbered event ids are told apart exactly, in whatever order they come'(store) {
    const sessionId = await started(store);
    const has = new Set<string>();
    const add = async (...ids: string[]) => {
      const expected = ids.flatMap((id, i) => (has.has(id) || ids.indexOf(id) < i ? [i] : []));
      for (const id of ids) has.add(id);
      const events = ids.map((id) => newEvent(sessionId, { id, data: `ü ${id}\n` }));
      const answer = await store.append(sessionId, events, LIMITS);
      assert.deepEqual(
        answer,
        { outcome: 'appended', duplicates: expected, events: has.size },
        ids.join(' '),
      );
    };
    await add('w-5', 'w-6', 'w-7');
    await add('w-8');
    await add('w-7', 'w-8', 'w-9');
    await add('w-3');
    await add('w-3', 'w-4', 'w-5');
    await add('w-12', 'w-13');
    await add('w-10', 'w-11', 'w-12');
    await add('w-012', 'w-0', 'w-', '-12', 'w-12', 'w-12x', '12', 'v-12', 'w-1-12');
    await add('w-999999999999999', 'w-9999999999999999', 'w-10000000000000000');
    await add('w-10000000000000001', 'w-9999999999999999', 'w-999999999999998');
    await add('l-999999999999999', 'l-1000000000000000', 'l-1000000000000001');
    await add('l-1000000000000000');
    await add('l-1000000000000001', 'l-1000000000000002');
    // More gaps than anybody will want to remember one by one.
    for (let n = 1; n < 300; n += 2) await add(`gap-${n}`);
    await add(...Array.from({ length: 310 }, (_, i) => `gap-${i + 1}`));
    // The same on every run.
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 100; round += 1) {
      const from = random(60) + 1;
      const writer = `r${random(2)}`;
      await add(
        ...Array.from({ length: random(4) + 1 }, (_, i) => `${writer}-${from + i * (1 + random(2))}`),
      );
    }
    const asked = [...has, 'w-1', 'w-2', 'w-14', 'w-011', 'gap-311', 'gap-0', 'x', 'r0-1000'];
    assert.deepEqual(
      await store.contains(sessionId, asked),
      asked.map((id) => has.has(id)),
    );
    assert.equal((await store.get(sessionId))?.events, has.size);
    const inOrder = (await readAll(store, sessionId)).map((json) => JSON.parse(json));
    assert.deepEqual(
      inOrder.map(({ id, data }) => [id, data]),
      [...has].map((id) => [id, `ü ${id}\n`]),
    );
    const grant = await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    assert.equal(grant.outcome, 'granted');
  },

  async 'of appends made together, each is done or refused by itself'(store) {
    const sessionId = await started(store);
    const limits = { ...LIMITS, maxSessionEvents: 5 };
    const events = Array.from({ length: 6 }, (_, i) => newEvent(sessionId, { id: `together-${i + 1}` }));
    const [one, two, three, four, five, six] = events as [
      AcceptedEvent,
      AcceptedEvent,
      AcceptedEvent,
      AcceptedEvent,
      AcceptedEvent,
      AcceptedEvent,
    ];
    const first = [[one, two], [two, three], [three]].map((call) => store.append(sessionId, call, limits));
    assert.deepEqual(
      (await Promise.all(first)).map((answer) => answer.outcome === 'appended' && answer.duplicates),
      [[], [0], [0]],
    );
    assert.deepEqual(await readAll(store, sessionId), [one.json, two.json, three.json]);
    const second = [[four], [five, six, newEvent(sessionId)], [five]].map((call) =>
      store.append(sessionId, call, limits),
    );
    assert.deepEqual(
      (await Promise.all(second)).map(({ outcome }) => outcome),
      ['appended', 'limit_exceeded', 'appended'],
    );
    assert.deepEqual(
      await readAll(store, sessionId),
      [one, two, three, four, five].map(({ json }) => json),
    );
  },

  async 'ids that differ only in case are different ids'(store) {
    const id = newId();
    const [lower, upper] = [`${id}-a`, `${id}-A`];
    assert.deepEqual(await store.start(newSession({ sessionId: lower })), { outcome: 'created' });
    assert.equal(await store.get(upper), undefined);
    assert.deepEqual(await store.start(newSession({ sessionId: upper })), { outcome: 'created' });
    const twins = [newEvent(lower, { id: 'twin-a' }), newEvent(lower, { id: 'twin-A' })];
    const appended = { outcome: 'appended', duplicates: [], events: 2 };
    assert.deepEqual(await store.append(lower, twins, LIMITS), appended);
    assert.deepEqual(await store.contains(lower, ['TWIN-A', 'twin-A']), [false, true]);
    assert.equal((await store.get(upper))?.events, 0);
  },

  async 'the same event ids in another session are not duplicates'(store) {
    const { events } = await filled(store, 3);
    const other = await started(store);
    assert.deepEqual(
      await store.contains(
        other,
        events.map(({ id }) => id),
      ),
      [false, false, false],
    );
    assert.deepEqual(await store.append(other, events, LIMITS), {
      outcome: 'appended',
      duplicates: [],
      events: 3,
    });
  },

  async 'concurrent appends lose nothing, and each event is there once'(store) {
    const sessionId = await started(store);
    const events = Array.from({ length: 100 }, () => newEvent(sessionId));
    await Promise.all([...events, ...events].map((event) => store.append(sessionId, [event], LIMITS)));
    assert.deepEqual((await readAll(store, sessionId)).sort(), events.map(({ json }) => json).sort());
    assert.equal((await store.get(sessionId))?.events, 100);
  },

  async 'an append of 5,000 events is one change'(store) {
    const { sessionId } = await filled(store, 5_000);
    assert.equal((await store.get(sessionId))?.events, 5_000);
    const tail = await store.read(sessionId, { after: 4_999, limit: 10, maxBytes: 10_000 });
    assert.deepEqual(
      tail.map(({ sequence, json }) => [sequence, JSON.parse(json).data]),
      [[5_000, 5_000]],
    );
  },

  async 'bytes count the envelopes in UTF-8'(store) {
    const sessionId = await started(store);
    const event = newEvent(sessionId, { data: 'ü😀' });
    await store.append(sessionId, [event], LIMITS);
    await store.append(sessionId, [event, newEvent(sessionId, { data: 'ü😀' })], LIMITS);
    assert.equal((await store.get(sessionId))?.bytes, 2 * Buffer.byteLength(event.json));
  },

  async 'a limit refuses the whole append, and duplicates do not count'(store) {
    const { sessionId, events } = await filled(store, 3);
    const bytes = (await store.get(sessionId))?.bytes ?? 0;
    const fresh = [newEvent(sessionId), newEvent(sessionId)];
    const four = { ...LIMITS, maxSessionEvents: 4 };
    assert.deepEqual(await store.append(sessionId, fresh, four), {
      outcome: 'limit_exceeded',
      limit: 'events',
    });
    const tight = { ...LIMITS, maxSessionBytes: bytes + 1 };
    assert.deepEqual(await store.append(sessionId, fresh, tight), {
      outcome: 'limit_exceeded',
      limit: 'bytes',
    });
    // Also when it is over a limit that was lowered meanwhile.
    for (const most of [3, 2]) {
      const full = { maxSessionEvents: most, maxSessionBytes: bytes + most - 3 };
      assert.equal((await store.append(sessionId, events, full)).outcome, 'appended');
      assert.equal((await store.append(sessionId, events.slice(0, 1), full)).outcome, 'appended');
    }
    assert.equal((await store.get(sessionId))?.events, 3);
    const [last] = fresh as [AcceptedEvent];
    const exact = { maxSessionEvents: 4, maxSessionBytes: bytes + Buffer.byteLength(last.json) };
    const appended = { outcome: 'appended', duplicates: [0, 1, 2], events: 4 };
    assert.deepEqual(await store.append(sessionId, [...events, last], exact), appended);
  },

  async 'an append renews the time to live'(store) {
    const sessionId = await started(store, { ttlMs: 50_000 });
    const before = await store.get(sessionId);
    const event = newEvent(sessionId);
    let expiresAt = before?.expiresAt ?? 0;
    // The second time it is a duplicate.
    for (let i = 0; i < 2; i += 1) {
      await eventually(async () => {
        await store.append(sessionId, [event], LIMITS);
        const renewed = (await store.get(sessionId))?.expiresAt ?? 0;
        assert.ok(renewed > expiresAt, 'append renews the expiry');
        expiresAt = renewed;
      });
    }
  },

  async 'extend sets the expiry, and without a time renews it'(store) {
    const sessionId = await started(store, { ttlMs: 50_000 });
    const { createdAt = 0 } = (await store.get(sessionId)) ?? {};
    const far = await store.extend(sessionId, 500_000);
    assert.ok(far.outcome === 'extended' && far.expiresAt >= createdAt + 500_000, 'the given time counts');
    assert.equal((await store.get(sessionId))?.expiresAt, far.expiresAt);
    const near = await store.extend(sessionId, undefined);
    assert.ok(near.outcome === 'extended' && near.expiresAt < createdAt + 500_000, 'its own time counts');
  },

  async 'an append does not shorten the life of a session that was extended'(store) {
    const sessionId = await started(store, { ttlMs: 50_000 });
    const extended = await store.extend(sessionId, 500_000);
    assert.equal(extended.outcome, 'extended');
    await store.append(sessionId, [newEvent(sessionId)], LIMITS);
    await store.append(sessionId, [newEvent(sessionId), newEvent(sessionId)], LIMITS);
    assert.equal(
      (await store.get(sessionId))?.expiresAt,
      extended.outcome === 'extended' && extended.expiresAt,
    );
  },

  async 'rollback ends a session for good, and repeats its answer'(store) {
    const { sessionId } = await filled(store, 3);
    const request = { retentionMs: 60_000, cause: { instance: 'i-1', reason: 'changed "my"\\ mind' } };
    assert.deepEqual(await store.rollback(sessionId, request), {
      outcome: 'rolled_back',
      discarded: 3,
      repeated: false,
    });
    assert.deepEqual(await store.rollback(sessionId, request), {
      outcome: 'rolled_back',
      discarded: 3,
      repeated: true,
    });
    const refused = { outcome: 'not_open', status: 'rolled_back' };
    assert.deepEqual(await store.append(sessionId, [newEvent(sessionId)], LIMITS), refused);
    assert.deepEqual(
      await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 1_000, cause: CAUSE }),
      refused,
    );
    const session = await store.get(sessionId);
    assert.equal(session?.status, 'rolled_back');
    await store.rollback(sessionId, { ...request, retentionMs: 600_000 });
    assert.equal((await store.get(sessionId))?.expiresAt, session?.expiresAt);
    assert.equal((await readAll(store, sessionId)).length, 3);
    assert.deepEqual(await store.expire(sessionId, AT_ONCE), { outcome: 'not_due' });
    const [opened, ended, ...others] = session?.history ?? [];
    assert.equal(opened?.status, 'open');
    assert.ok((ended?.at ?? 0) >= (session?.createdAt ?? 0), 'the history says when');
    assert.deepEqual(
      { ...ended, at: 0 },
      { status: 'rolled_back', at: 0, instance: 'i-1', reason: 'changed "my"\\ mind' },
    );
    assert.deepEqual(others, []);
  },

  async 'an ended session vanishes after its retention, and its id is free again'(store) {
    const { sessionId } = await filled(store, 2);
    await store.rollback(sessionId, { retentionMs: 20, cause: CAUSE });
    await eventually(async () => assert.equal(await store.get(sessionId), undefined));
    assert.deepEqual(await readAll(store, sessionId), []);
    assert.deepEqual(await store.start(newSession({ sessionId })), { outcome: 'created' });
    assert.equal((await store.get(sessionId))?.events, 0);
  },

  async 'read pages by position, by count and by bytes, and always gives at least one event'(store) {
    const { sessionId, events } = await filled(store, 10);
    const sequences = async (after: number, limit: number, maxBytes: number) =>
      (await store.read(sessionId, { after, limit, maxBytes })).map(({ sequence }) => sequence);
    assert.deepEqual(await sequences(0, 3, 100_000), [1, 2, 3]);
    assert.deepEqual(await sequences(8, 3, 100_000), [9, 10]);
    assert.deepEqual(await sequences(10, 3, 100_000), []);
    const [first] = events as [AcceptedEvent];
    assert.deepEqual(await sequences(0, 10, 2 * Buffer.byteLength(first.json)), [1, 2]);
    assert.deepEqual(await sequences(4, 10, 1), [5]);
  },

  async 'a page counts its bytes in UTF-8'(store) {
    const sessionId = await started(store);
    const events = Array.from({ length: 3 }, () => newEvent(sessionId, { data: 'ü😀'.repeat(100) }));
    await store.append(sessionId, events, LIMITS);
    const [{ json }] = events as [AcceptedEvent];
    const read = async (maxBytes: number) =>
      (await store.read(sessionId, { after: 0, limit: 3, maxBytes })).map(({ sequence }) => sequence);
    assert.deepEqual(await read(2 * Buffer.byteLength(json)), [1, 2]);
    assert.deepEqual(await read(2 * Buffer.byteLength(json) - 1), [1]);
  },

  async 'a page of large events keeps to its bytes'(store) {
    const sessionId = await started(store);
    const sizes = [10, 200_000, 10, 200_000, 200_000, 10];
    await store.append(
      sessionId,
      sizes.map((size) => newEvent(sessionId, { data: 'x'.repeat(size) })),
      LIMITS,
    );
    const pages: number[][] = [];
    for (let after = 0; after < sizes.length; ) {
      const page = await store.read(sessionId, { after, limit: 100, maxBytes: 250_000 });
      pages.push(page.map(({ sequence }) => sequence));
      const last = page.at(-1)?.sequence ?? 0;
      assert.ok(last > after, `a page behind ${after} goes beyond it, not to ${last}`);
      after = last;
    }
    assert.deepEqual(pages, [[1, 2, 3], [4], [5, 6]]);
  },

  async 'contains tells known event ids from others'(store) {
    const { sessionId, events } = await filled(store, 2);
    const [first, second] = events as [AcceptedEvent, AcceptedEvent];
    assert.deepEqual(await store.contains(sessionId, [second.id, 'other', first.id]), [true, false, true]);
    assert.deepEqual(await store.contains(sessionId, []), []);
    await store.rollback(sessionId, RETENTION);
    assert.deepEqual(await store.contains(sessionId, [second.id, 'other', first.id]), [true, false, true]);
  },

  async 'list pages over open and committing sessions, and leaves ended ones out'(store) {
    const mine = new Map<string, string>();
    for (let i = 0; i < 8; i += 1) mine.set(await started(store), 'open');
    const [committing, ended, full, overdue] = [...mine.keys()] as [string, string, string, string];
    await store.beginCommit(committing, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    mine.set(committing, 'committing');
    await store.rollback(ended, RETENTION);
    await store.append(full, [newEvent(full), newEvent(full)], LIMITS);
    await store.extend(overdue, 20);
    await eventually(async () => assert.equal((await store.get(overdue))?.status, 'expired'));
    const gone = new Set([ended, overdue]);
    for (const sessionId of gone) mine.delete(sessionId);
    const list = async (status?: 'open' | 'committing') => {
      const found = new Map<string, string>();
      let cursor: string | undefined;
      do {
        const page = await store.list({ status, cursor, limit: 2 });
        assert.ok(page.sessions.length <= 2, 'a page keeps to its limit');
        for (const { sessionId, status, events, createdAt } of page.sessions) {
          assert.ok(!gone.has(sessionId), 'what has ended or run out is not listed');
          if (!mine.has(sessionId)) continue;
          assert.ok(!found.has(sessionId), 'a session that does not change is listed once');
          found.set(sessionId, status);
          const session = await store.get(sessionId);
          assert.deepEqual({ events, createdAt }, { events: session?.events, createdAt: session?.createdAt });
        }
        assert.ok(page.cursor !== (cursor ?? ''), 'the next page is another one');
        cursor = page.cursor;
      } while (cursor !== undefined);
      return found;
    };
    assert.deepEqual([...(await list())].sort(), [...mine].sort());
    assert.deepEqual([...(await list('committing'))], [[committing, 'committing']]);
    assert.equal((await list('open')).size, 5);
  },

  async 'due names those that are longest due, in this order, and no more than asked for'(store) {
    const overdue: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      const sessionId = await started(store);
      await store.extend(sessionId, 20);
      await eventually(async () => assert.ok(await isDue(store, sessionId), 'it comes due'));
      overdue.push(sessionId);
    }
    const found = (await store.due(1_000)).filter((sessionId) => overdue.includes(sessionId));
    assert.deepEqual(found, overdue);
    assert.equal((await store.due(1)).length, 1);
  },

  async 'due names a session though the time of those before it was renewed'(store) {
    const lease = { attemptId: 'a', leaseMs: 1, cause: CAUSE };
    for (let i = 0; i < 5; i += 1) {
      const { sessionId } = await filled(store, 1);
      assert.equal((await store.beginCommit(sessionId, lease)).outcome, 'granted');
      const progress = { epoch: 1, cursor: 1, deferred: 0, leaseMs: 60_000 };
      assert.deepEqual(await store.advance(sessionId, progress), { outcome: 'done' });
    }
    const overdue = await started(store, { ttlMs: 20 });
    await eventually(async () => assert.equal((await store.get(overdue))?.status, 'expired'));
    const found = new Set<string>();
    for (let known = -1; known < found.size; ) {
      known = found.size;
      for (const sessionId of await store.due(1 + known)) found.add(sessionId);
    }
    assert.ok(found.has(overdue));
  },

  async 'countActive counts sessions until they end'(store) {
    // Others may begin and end sessions in the same store meanwhile, but not as many.
    const [many, others] = [40, 20];
    const before = await store.countActive();
    const sessions = await Promise.all(Array.from({ length: many }, () => started(store)));
    assert.ok((await store.countActive()) >= before + many - others, 'open sessions count');
    for (const sessionId of sessions) {
      await store.beginCommit(sessionId, { attemptId: 'a', leaseMs: 60_000, cause: CAUSE });
    }
    assert.ok((await store.countActive()) >= before + many - others, 'committing ones count');
    const receipt = { status: 'committed', events: 0, published: 0, deferred: 0, durationMs: 1 } as const;
    for (const sessionId of sessions) {
      const finish = { epoch: 1, cursor: 0, deferred: 0, receipt: { ...receipt, sessionId }, ...RETENTION };
      assert.deepEqual(await store.finishCommit(sessionId, finish), { outcome: 'done' });
    }
    await eventually(async () =>
      assert.ok((await store.countActive()) <= before + others, 'ended ones do not count for long'),
    );
  },

  async 'ping resolves'(store) {
    await store.ping();
  },
};

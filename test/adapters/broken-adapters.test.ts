import { type EventPublisher, memoryPublisher, memoryStore, type SessionStore } from 'event-sessions';
import { type ConformanceCase, eventPublisherCases, sessionStoreCases } from 'event-sessions/testing';
import { describe, expect, test } from 'vitest';

/** Whether one of the cases of this name fails, as it has to. */
async function rejects(cases: readonly ConformanceCase[], expected: RegExp): Promise<boolean> {
  for (const { name, run } of cases) {
    if (!expected.test(name)) continue;
    const failed = await run().then(
      () => false,
      () => true,
    );
    if (failed) return true;
  }
  return false;
}

/** Stores that break one rule each, and words of a case that has to notice. */
const BROKEN_STORES: Record<string, [(store: SessionStore) => Partial<SessionStore>, RegExp]> = {
  'starts an existing session again': [
    () => ({ start: async () => ({ outcome: 'created' }) }),
    /of concurrent starts|changes nothing/,
  ],
  'adds duplicates': [
    (store) => ({
      append: async (id, events, ...rest) =>
        store.append(
          id,
          events.map((event) => ({ ...event, id: `${event.id}x${Math.random().toString(36).slice(2)}` })),
          ...rest,
        ),
    }),
    /is a duplicate/,
  ],
  'loses the order': [
    (store) => ({ append: (id, events, ...rest) => store.append(id, [...events].reverse(), ...rest) }),
    /keeps the order/,
  ],
  'appends a part before it finds out that the rest is too much': [
    (store) => ({
      async append(id, events, ...rest) {
        let last = await store.append(id, events.slice(0, 1), ...rest);
        for (const event of events.slice(1)) last = await store.append(id, [event], ...rest);
        return last;
      },
    }),
    /refuses the whole append/,
  ],
  'checks and changes in two steps': [
    (store) => ({
      async beginCommit(id, attempt) {
        const session = await store.get(id);
        await new Promise((resolve) => setImmediate(resolve));
        if (session?.status === 'open') await store.beginCommit(id, { ...attempt, attemptId: 'shared' });
        return session?.status === 'open'
          ? { outcome: 'granted', epoch: 1, cursor: 0, deferred: 0, events: session.events }
          : store.beginCommit(id, attempt);
      },
    }),
    /exactly one/,
  ],
  'does not fence by epoch': [
    (store) => ({
      advance: async (id, progress) =>
        store.advance(id, { ...progress, epoch: (await store.get(id))?.epoch ?? 0 }),
    }),
    /stale epoch/,
  ],
  'lets the cursor go back': [
    (store) => {
      const shown = new Map<string, number>();
      return {
        advance: async (id, progress) => {
          shown.set(id, progress.cursor);
          return store.advance(id, progress);
        },
        get: async (id) => {
          const session = await store.get(id);
          return session && { ...session, cursor: shown.get(id) ?? session.cursor };
        },
      };
    },
    /forward only/,
  ],
  'finishes a commit whose events are missing': [
    (store) => ({
      finishCommit: async (id, finish) =>
        store.finishCommit(id, { ...finish, cursor: (await store.get(id))?.events ?? 0 }),
    }),
    /while events are missing/,
  ],
  'forgets the receipt': [
    (store) => ({
      beginCommit: async (id, attempt) => {
        const begun = await store.beginCommit(id, attempt);
        return begun.outcome === 'committed'
          ? { ...begun, receipt: { ...begun.receipt, durationMs: 0 } }
          : begun;
      },
    }),
    /word for word/,
  ],
  'ignores expiry': [
    (store) => ({
      get: async (id) => {
        const session = await store.get(id);
        return session?.status === 'expired' ? { ...session, status: 'open' } : session;
      },
    }),
    /past its expiry/,
  ],
  'does not look at when a replay was acknowledged': [
    (store) => ({
      append: (id, events, limits) => store.append(id, events, limits),
      beginCommit: (id, { asOf: _, ...attempt }) => store.beginCommit(id, attempt),
    }),
    /had not run out by then/,
  ],
  'believes a replay from the future': [
    (store) => ({
      append: (id, events, limits, asOf = 0) =>
        store.append(id, events, limits, asOf > Date.now() ? 0 : asOf),
    }),
    /from the future/,
  ],
  'gives no grace before it ends an overdue session': [
    (store) => ({ expire: (id, request) => store.expire(id, { ...request, graceMs: 0 }) }),
    /grace/,
  ],
  'ignores the bytes of a page': [
    (store) => ({ read: (id, range) => store.read(id, { ...range, maxBytes: Number.MAX_SAFE_INTEGER }) }),
    /by bytes/,
  ],
  'never finds an interrupted commit': [() => ({ due: async () => [] }), /interrupted commit|comes due/],
  'lists ended sessions': [
    (store) => ({
      rollback: async (id, request) => {
        const answer = await store.rollback(id, request);
        return answer;
      },
      list: async (filter) => {
        const page = await store.list(filter);
        return { ...page, sessions: [...page.sessions, ...page.sessions] };
      },
    }),
    /list pages/,
  ],
};

describe('the store suite rejects a store that', () => {
  test.each(Object.entries(BROKEN_STORES))(
    '%s',
    async (_name, [breakIt, expected]) => {
      const cases = sessionStoreCases(async () => {
        const store = memoryStore();
        return { store: { ...store, ...breakIt(store) } };
      });
      expect(await rejects(cases, expected)).toBe(true);
    },
    60_000,
  );
});

const BROKEN_PUBLISHERS: Record<string, [(publisher: EventPublisher) => Partial<EventPublisher>, RegExp]> = {
  'drops the last event of a batch': [
    (publisher) => ({
      publish: (batch) => publisher.publish({ ...batch, events: batch.events.slice(0, -1) }),
    }),
    /whole and in order/,
  ],
  'turns batches round': [
    (publisher) => ({
      publish: (batch) => publisher.publish({ ...batch, events: [...batch.events].reverse() }),
    }),
    /whole and in order/,
  ],
  'lets a later call overtake': [
    (publisher) => {
      let call = 0;
      return {
        async publish(batch) {
          call += 1;
          if (call % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 5));
          return publisher.publish(batch);
        },
      };
    },
    /in the order of the calls/,
  ],
  'mixes topics': [
    (publisher) => ({
      publish: (batch) =>
        publisher.publish({
          ...batch,
          topic: 'one',
          events: batch.events.map((event) => ({ ...event, topic: 'one' })),
        }),
    }),
    /do not mix/,
  ],
  'keeps only ASCII': [
    (publisher) => ({
      publish: (batch) =>
        publisher.publish({
          ...batch,
          events: batch.events.map((event) => ({
            ...event,
            json: Buffer.from(event.json, 'latin1').toString('latin1'),
          })),
        }),
    }),
    /outside ASCII/,
  ],
  'declares more than it can carry': [
    (publisher) => ({
      publish: (batch) => {
        if (batch.events.some(({ json }) => json.length > 100_000)) throw new Error('too large');
        return publisher.publish(batch);
      },
    }),
    /largest size/,
  ],
  'can be closed only once': [
    () => {
      let closed = false;
      return {
        async close() {
          if (closed) throw new Error('closed');
          closed = true;
        },
      };
    },
    /close can be repeated/,
  ],
};

describe('the publisher suite rejects a publisher that', () => {
  test.each(Object.entries(BROKEN_PUBLISHERS))('%s', async (_name, [breakIt, expected]) => {
    const cases = eventPublisherCases(async () => {
      const memory = memoryPublisher();
      const consume = async (topic: string) =>
        memory.published.filter((one) => one.topic === topic).map(({ event }) => JSON.stringify(event));
      return { publisher: { ...memory, ...breakIt(memory) }, consume };
    });
    expect(await rejects(cases, expected)).toBe(true);
  });
});

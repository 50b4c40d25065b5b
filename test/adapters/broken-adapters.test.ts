import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ContingencyLog,
  type ContingencyRecord,
  type EventPublisher,
  EventSessionsError,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type PublishBatch,
  type SealedRecords,
  type SessionRecord,
  type SessionStore,
} from 'event-sessions';
import {
  type ConformanceCase,
  contingencyLogCases,
  eventPublisherCases,
  sessionStoreCases,
} from 'event-sessions/testing';
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
  'lists a session twice': [
    (store) => ({
      list: async (filter) => {
        const page = await store.list(filter);
        return { ...page, sessions: [...page.sessions, ...page.sessions] };
      },
    }),
    /list pages/,
  ],
  'lists ended sessions': [
    (store) => {
      const ended: string[] = [];
      return {
        rollback: async (id, request) => {
          ended.push(id);
          return store.rollback(id, request);
        },
        list: async (filter) => {
          const page = await store.list(filter);
          const late = ended.map((sessionId) => ({
            sessionId,
            status: 'open' as const,
            events: 0,
            createdAt: 0,
          }));
          return { ...page, sessions: [...page.sessions, ...late].slice(-filter.limit) };
        },
      };
    },
    /list pages/,
  ],
  'lists without end': [
    (store) => ({ list: async (filter) => ({ ...(await store.list(filter)), cursor: 'again' }) }),
    /list pages/,
  ],
  'counts the sequence from the first of a page': [
    (store) => ({
      read: async (id, range) =>
        (await store.read(id, range)).map((event, i) => ({ ...event, sequence: i + 1 })),
    }),
    /keeps to its bytes/,
  ],
  'knows no case in ids': [
    (store) => ({
      start: (session) => store.start({ ...session, sessionId: session.sessionId.toLowerCase() }),
      get: (id) => store.get(id.toLowerCase()),
    }),
    /only in case/,
  ],
  'parses the text of an event': [
    (store) => ({
      read: async (id, range) =>
        (await store.read(id, range)).map((event) => ({
          ...event,
          json: JSON.stringify(JSON.parse(event.json)),
        })),
    }),
    /as they were given/,
  ],
  'counts duplicates for a limit': [
    (store) => ({
      append: async (id, events, limits, asOf) => {
        const { events: before = 0 } = (await store.get(id)) ?? {};
        return before + events.length > limits.maxSessionEvents
          ? { outcome: 'limit_exceeded', limit: 'events' }
          : store.append(id, events, limits, asOf);
      },
    }),
    /duplicates do not count/,
  ],
  'finds the events of other sessions': [
    (store) => {
      const all = new Set<string>();
      return {
        append: async (id, events, ...rest) => {
          for (const event of events) all.add(event.id);
          return store.append(id, events, ...rest);
        },
        contains: async (_id, eventIds) => eventIds.map((eventId) => all.has(eventId)),
      };
    },
    /another session|other/,
  ],
  'forgets the event ids of an ended session': [
    (store) => ({
      contains: async (id, eventIds) =>
        (await store.get(id))?.status === 'open' ? store.contains(id, eventIds) : eventIds.map(() => false),
    }),
    /contains tells/,
  ],
  'forgets the event ids of a session that has run out': [
    (store) => ({
      contains: async (id, eventIds) =>
        (await store.get(id))?.status === 'expired'
          ? eventIds.map(() => false)
          : store.contains(id, eventIds),
    }),
    /keeps its events/,
  ],
  'renews a lease only when the cursor moves': [
    (store) => ({
      advance: async (id, progress) =>
        progress.cursor === (await store.get(id))?.cursor ? { outcome: 'done' } : store.advance(id, progress),
    }),
    /renews the lease/,
  ],
  'does not renew the lease of an attempt that asks again': [
    (store) => {
      const granted = new Map<string, Awaited<ReturnType<SessionStore['beginCommit']>>>();
      return {
        beginCommit: async (id, attempt) => {
          const key = `${id} ${attempt.attemptId}`;
          const before = granted.get(key);
          if (before !== undefined) return before;
          const answer = await store.beginCommit(id, attempt);
          if (answer.outcome === 'granted') granted.set(key, answer);
          return answer;
        },
      };
    },
    /asked again renews/,
  ],
  'checks expectedEvents of a commit that has begun': [
    (store) => ({
      beginCommit: async (id, attempt) => {
        const { events } = (await store.get(id)) ?? {};
        return attempt.expectedEvents !== undefined &&
          attempt.expectedEvents !== events &&
          events !== undefined
          ? { outcome: 'mismatch', events }
          : store.beginCommit(id, attempt);
      },
    }),
    /whatever it expects/,
  ],
  'takes an expectation of no events for none': [
    (store) => ({
      beginCommit: (id, attempt) =>
        store.beginCommit(id, { ...attempt, expectedEvents: attempt.expectedEvents || undefined }),
    }),
    /is not met/,
  ],
  'tells every other attempt to wait as long': [
    (store) => ({
      beginCommit: async (id, attempt) => {
        const answer = await store.beginCommit(id, attempt);
        return answer.outcome === 'in_progress' ? { ...answer, retryAfterMs: 15_000 } : answer;
      },
    }),
    /told to wait/,
  ],
  'believes an epoch that is still to come': [
    (store) => ({
      advance: async (id, progress) => {
        const { epoch = 0 } = (await store.get(id)) ?? {};
        return store.advance(id, { ...progress, epoch: Math.min(epoch, progress.epoch) });
      },
    }),
    /stale epoch/,
  ],
  'finishes a commit that has not begun': [
    (store) => ({
      finishCommit: async (id, finish) => {
        if ((await store.get(id))?.status !== 'open') return store.finishCommit(id, finish);
        await store.beginCommit(id, { attemptId: 'x', leaseMs: 1_000, cause: finish.cause });
        return store.finishCommit(id, { ...finish, epoch: 1 });
      },
    }),
    /moved by no epoch/,
  ],
  'keeps the receipt of the last finish': [
    (store) => {
      const receipts = new Map<string, Parameters<SessionStore['finishCommit']>[1]['receipt']>();
      return {
        finishCommit: async (id, finish) => {
          receipts.set(id, finish.receipt);
          return store.finishCommit(id, finish);
        },
        beginCommit: async (id, attempt) => {
          const answer = await store.beginCommit(id, attempt);
          const receipt = receipts.get(id);
          return answer.outcome === 'committed' && receipt ? { ...answer, receipt } : answer;
        },
      };
    },
    /word for word/,
  ],
  'keeps committed sessions for good': [
    (store) => ({ finishCommit: (id, finish) => store.finishCommit(id, { ...finish, retentionMs: 1e9 }) }),
    /committed session vanishes/,
  ],
  'keeps expired sessions for good': [
    (store) => ({ expire: (id, request) => store.expire(id, { ...request, retentionMs: 1e9 }) }),
    /vanishes after its retention/,
  ],
  'keeps a session longer with each rollback': [
    (store) => {
      const until = new Map<string, number>();
      return {
        rollback: async (id, request) => {
          until.set(id, Date.now() + request.retentionMs);
          return store.rollback(id, request);
        },
        get: async (id) => {
          const session = await store.get(id);
          return session && { ...session, expiresAt: until.get(id) ?? session.expiresAt };
        },
      };
    },
    /rollback ends a session/,
  ],
  'does not say in the history who did it': [
    (store) => ({ expire: (id, request) => store.expire(id, { ...request, cause: { instance: 'x' } }) }),
    /ends an overdue session/,
  ],
  'does not say in the history when': [
    (store) => ({
      get: async (id) => {
        const session: SessionRecord | undefined = await store.get(id);
        return session && { ...session, history: session.history.map((entry) => ({ ...entry, at: 0 })) };
      },
    }),
    /rollback ends a session/,
  ],
  'shows the lease of a session that has ended': [
    (store) => ({
      get: async (id) => {
        const session = await store.get(id);
        return session && { ...session, leaseExpiresAt: session.leaseExpiresAt ?? 0 };
      },
    }),
    /finishCommit keeps/,
  ],
  'gives more due sessions than asked for': [(store) => ({ due: () => store.due(1_000) }), /longest due/],
  'gives due sessions the other way round': [
    (store) => ({ due: async (limit) => [...(await store.due(limit))].reverse() }),
    /longest due/,
  ],
  'counts ended sessions as active': [
    (store) => {
      let begun = 0;
      return {
        start: (session) => {
          begun += 1;
          return store.start(session);
        },
        countActive: async () => begun,
      };
    },
    /countActive/,
  ],
  'counts only open sessions as active': [
    (store) => ({
      countActive: async () => (await store.list({ status: 'open', limit: 1_000 })).sessions.length,
    }),
    /countActive/,
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
  'closes while calls are in flight': [
    (publisher) => {
      const onPublish = async (batch: PublishBatch) => {
        await sleep(1);
        await publisher.publish(batch);
      };
      return { publish: memoryPublisher({ onPublish }).publish, async close() {} };
    },
    /waits for what is in flight/,
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

/** What a broken publisher may do: to the broker at once, or as a publisher that keeps the rules. */
interface Sound {
  readonly publisher: EventPublisher;
  /** Takes a batch as the broker would, and fails during an outage. */
  readonly broker: (batch: PublishBatch) => Promise<void>;
  readonly isDown: () => boolean;
}

const lost = (outcome?: 'not_done' | 'unknown' | 'refused') =>
  new EventSessionsError('PUBLISH_FAILED', 'the broker is away', { outcome });
const never = () => new Promise<void>(() => {});

/** A publisher whose broker, an array, can be away. */
function withOutages(breakIt: (sound: Sound) => Partial<EventPublisher>) {
  const memory = memoryPublisher();
  let down = false;
  async function broker(batch: PublishBatch): Promise<void> {
    await sleep(1);
    if (down) throw lost('not_done');
    await memory.publish(batch);
  }
  const ordered = memoryPublisher({ onPublish: broker });
  const calls = new Set<Promise<void>>();
  const publisher: EventPublisher = {
    limits: memory.limits,
    publish(batch) {
      const call = ordered.publish(batch);
      calls.add(call);
      call.catch(() => {}).finally(() => calls.delete(call));
      return call;
    },
    async ping() {
      if (down) throw lost('not_done');
    },
    async close() {
      await Promise.allSettled(calls);
    },
  };
  const sound = { publisher, broker, isDown: () => down };
  return {
    publisher: { ...publisher, ...breakIt(sound) },
    consume: async (topic: string) =>
      memory.published.filter((one) => one.topic === topic).map(({ event }) => JSON.stringify(event)),
    async makeUnreachable() {
      down = true;
      return async () => {
        down = false;
      };
    },
  };
}

describe('the publisher suite accepts, of a publisher that keeps the rules,', () => {
  const make = async () => withOutages(() => ({}));
  for (const { name, run } of eventPublisherCases(make, { makeBreakable: make })) test(name, run);
});

/** Publishers that break one rule each when the broker is away. */
const BROKEN_IN_OUTAGES: Record<string, [(sound: Sound) => Partial<EventPublisher>, RegExp]> = {
  'says that it has published': [
    ({ publisher }) => ({ publish: (batch) => publisher.publish(batch).catch(() => {}) }),
    /a publish fails/,
  ],
  'acknowledges before the broker does': [
    ({ publisher, isDown }) => ({
      async publish(batch) {
        if (isDown()) throw lost('not_done');
        publisher.publish(batch).catch(() => {});
      },
    }),
    /all that succeeded arrives/,
  ],
  'rejects with an error that is not of ours': [
    ({ publisher }) => ({
      publish: (batch) =>
        publisher.publish(batch).catch(() => {
          throw new Error('ECONNREFUSED');
        }),
    }),
    /a publish fails/,
  ],
  'rejects with another code': [
    ({ publisher }) => ({
      publish: (batch) =>
        publisher.publish(batch).catch(() => {
          throw new EventSessionsError('CLOSED', 'the connection is closed', { outcome: 'not_done' });
        }),
    }),
    /a publish fails/,
  ],
  'does not say what became of it': [
    ({ publisher }) => ({
      publish: (batch) =>
        publisher.publish(batch).catch(() => {
          throw lost();
        }),
    }),
    /a publish fails/,
  ],
  'takes an outage for a refusal': [
    ({ publisher }) => ({
      publish: (batch) =>
        publisher.publish(batch).catch(() => {
          throw lost('refused');
        }),
    }),
    /a publish fails/,
  ],
  'says not_done of what it sends later': [
    ({ publisher, broker }) => ({
      publish: (batch) =>
        publisher.publish(batch).catch(async (error) => {
          const again = (): Promise<void> => broker(batch).catch(again);
          again();
          throw error;
        }),
    }),
    /never reached/,
  ],
  'waits for the broker without a deadline': [
    ({ publisher, isDown }) => ({
      async publish(batch) {
        while (isDown()) await sleep(5);
        return publisher.publish(batch);
      },
    }),
    /a publish fails/,
  ],
  'settles only the first of many calls': [
    ({ publisher }) => {
      let failed = false;
      return {
        publish: (batch) =>
          publisher.publish(batch).catch((error) => {
            if (failed) return never();
            failed = true;
            throw error;
          }),
      };
    },
    /each of many calls/,
  ],
  'gives each call a deadline of its own, and lets those behind it through': [
    ({ broker }) => {
      let last: Promise<void> = Promise.resolve();
      return {
        publish(batch) {
          const dueAt = performance.now() + 50;
          const attempt = (): Promise<void> =>
            broker(batch).catch((error) => {
              if (performance.now() > dueAt) throw error;
              return attempt();
            });
          const call = last.then(attempt);
          last = call.catch(() => {});
          return call;
        },
      };
    },
    /no call succeeds behind/,
  ],
  'tells each call how the one before it ended': [
    ({ publisher }) => {
      let before: Promise<void> = Promise.resolve();
      return {
        publish(batch) {
          const result = before;
          before = publisher.publish(batch);
          before.catch(() => {});
          return result;
        },
      };
    },
    /a publish fails/,
  ],
  'never connects again': [
    ({ publisher }) => {
      let failure: unknown;
      return {
        async publish(batch) {
          if (failure !== undefined) throw failure;
          await publisher.publish(batch).catch((error) => {
            failure = error;
            throw error;
          });
        },
      };
    },
    /never reached/,
  ],
  'answers ping without a look at the broker': [() => ({ async ping() {} }), /ping rejects/],
  'lets ping wait for ever': [
    ({ publisher, isDown }) => ({ ping: () => (isDown() ? never() : publisher.ping()) }),
    /ping rejects/,
  ],
  'remembers that ping has failed': [
    ({ isDown }) => {
      let failed = false;
      return {
        async ping() {
          failed ||= isDown();
          if (failed) throw lost('not_done');
        },
      };
    },
    /ping rejects/,
  ],
  'cannot be closed': [
    ({ publisher, isDown }) => ({
      async close() {
        await publisher.close();
        if (isDown()) throw lost('not_done');
      },
    }),
    /close resolves/,
  ],
  'forgets its calls when it is closed': [
    ({ publisher, isDown }) => {
      let closed = false;
      return {
        publish: (batch) =>
          publisher.publish(batch).catch((error) => (closed ? never() : Promise.reject(error))),
        async close() {
          closed = isDown();
        },
      };
    },
    /close resolves/,
  ],
};

describe('the publisher suite rejects a publisher that in an outage', () => {
  // Each is given ten seconds to hang.
  test.concurrent.each(Object.entries(BROKEN_IN_OUTAGES))(
    '%s',
    async (_name, [breakIt, expected]) => {
      const make = async () => withOutages(breakIt);
      expect(await rejects(eventPublisherCases(make, { makeBreakable: make }), expected)).toBe(true);
    },
    60_000,
  );
});

const { parse, stringify } = JSON;

/** Logs that break one rule each. */
const BROKEN_LOGS: Record<string, [(log: ContingencyLog) => Partial<ContingencyLog>, RegExp]> = {
  'loses the last record of an append': [
    (log) => ({ append: (records) => log.append(records.slice(0, Math.max(1, records.length - 1))) }),
    /those of one append together/,
  ],
  'turns the records of an append round': [
    (log) => ({ append: (records) => log.append([...records].reverse()) }),
    /those of one append together/,
  ],
  'parses the text of an event': [
    (log) => ({ append: (records) => log.append(records.map(parsed)) }),
    /whatever it contains/,
  ],
  'loses that the broker has refused an event': [
    (log) => ({
      append: (records) =>
        log.append(
          records.map((record) =>
            record.kind === 'event.unpublished' && record.outcome === 'refused'
              ? { ...record, outcome: undefined }
              : record,
          ),
        ),
    }),
    /whatever it contains/,
  ],
  'keeps whole seconds': [
    (log) => ({
      append: (records) =>
        log.append(records.map((record) => ({ ...record, at: Math.ceil(record.at / 1_000) * 1_000 }))),
    }),
    /whatever it contains/,
  ],
  'takes no notice that it is full': [
    (log) => ({ append: (records) => log.append(records).catch(() => {}) }),
    /a full log rejects/,
  ],
  'writes what fits of an append': [
    (log) => ({
      append: async (records) => {
        for (const record of records) await log.append([record]);
      },
    }),
    /does not fit/,
  ],
  'gives a part to two recoveries': [
    (log) => {
      let held: SealedRecords | undefined;
      return {
        seal: async () => {
          const answer = await log.seal();
          if (typeof answer === 'object') held = answer;
          return answer === 'busy' && held !== undefined ? held : answer;
        },
      };
    },
    /one recovery at a time/,
  ],
  'settles at the end only': [
    (log) => ({
      seal: () =>
        sealedBy(log, (sealed) => {
          const settled: number[] = [];
          return {
            settle: async (places) => {
              settled.push(...places);
            },
            release: async () => {
              await sealed.settle(settled);
              await sealed.release();
            },
          };
        }),
    }),
    /is settled is no longer read/,
  ],
  'settles what stands before, too': [
    (log) => ({
      seal: () =>
        sealedBy(log, (sealed) => ({
          settle: (places) =>
            sealed.settle(Array.from({ length: Math.max(0, ...places) + 1 }, (_, place) => place)),
        })),
    }),
    /what is not settled stays/,
  ],
  'fetches without regard to the bytes': [
    (log) => ({
      seal: () =>
        sealedBy(log, (sealed) => ({ fetch: (places) => sealed.fetch(places, Number.MAX_SAFE_INTEGER) })),
    }),
    /fetch answers at most/,
  ],
  'passes over a record that is too large': [
    (log) => ({
      seal: () =>
        sealedBy(log, (sealed) => ({
          fetch: async (places, maxBytes) => {
            const found: ContingencyRecord[] = [];
            for (const place of places) {
              const [record] = await sealed.fetch([place], maxBytes);
              if (record && stringify(record).length <= maxBytes) found.push(record);
            }
            return found;
          },
        })),
    }),
    /a beginning/,
  ],
  'throws away what is quarantined': [
    (log) => ({
      seal: () =>
        sealedBy(log, (sealed) => ({
          quarantine: (entries) => sealed.settle(entries.map(({ place }) => place)),
        })),
    }),
    /kept for a person/,
  ],
  'counts what is settled in its bytes': [
    (log) => {
      let most = 0;
      return {
        backlog: async () => {
          const backlog = await log.backlog();
          most = Math.max(most, backlog.bytes);
          return { ...backlog, bytes: most };
        },
      };
    },
    /backlog counts/,
  ],
  'lets a sealed part outlive it': [() => ({ close: async () => {} }), /close releases/],
};

function parsed(record: ContingencyRecord): ContingencyRecord {
  return 'event' in record ? { ...record, event: stringify(parse(record.event)) } : record;
}

async function sealedBy(
  log: ContingencyLog,
  breakIt: (sealed: SealedRecords) => Partial<SealedRecords>,
): Promise<SealedRecords | 'empty' | 'busy'> {
  const sealed = await log.seal();
  return typeof sealed === 'object' ? { ...sealed, ...breakIt(sealed) } : sealed;
}

describe('the contingency suite rejects a log that', () => {
  test.each(Object.entries(BROKEN_LOGS))('%s', async (_name, [breakIt, expected]) => {
    const make = async (maxBytes?: number) => {
      const log = memoryContingency({ maxBytes });
      return { log: { ...log, ...breakIt(log) }, quarantined: async () => log.quarantined };
    };
    const cases = contingencyLogCases(() => make(), { makeBounded: make });
    expect(await rejects(cases, expected)).toBe(true);
  });
});

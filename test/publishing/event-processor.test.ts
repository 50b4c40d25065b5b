import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/adapters/memory/memory-store.js';
import { createDomainEvents } from '../../src/core/domain-events.js';
import { EventSessionsError, type FailureOutcome } from '../../src/core/errors.js';
import type { StoredEvent } from '../../src/core/event.js';
import { createMetrics } from '../../src/core/metrics.js';
import { silentLogger } from '../../src/core/safe-logger.js';
import type { EventPublisher, PublishBatch } from '../../src/ports/event-publisher.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import { type CommitLease, holdLease } from '../../src/publishing/commit-lease.js';
import { createEventProcessor, type EventProcessorConfig } from '../../src/publishing/event-processor.js';
import { CAUSE, LIMITS, newEvent, newSession } from '../../src/testing/store-sessions.js';
import { breakerAfter } from '../support/breaker.js';

const failure = (outcome: FailureOutcome) => new EventSessionsError('PUBLISH_FAILED', outcome, { outcome });

interface Broker extends EventPublisher {
  /** Sequences as the broker has taken them. */
  readonly taken: number[];
  readonly calls: PublishBatch[];
  inFlight: number;
  mostInFlight: number;
}

/** Each call asks `decide` (with its number, from 1) what becomes of it. */
function broker(decide: (batch: PublishBatch, call: number) => Promise<void> | void = () => {}): Broker {
  const state: Broker = {
    limits: { maxEventBytes: 1_000_000 },
    taken: [],
    calls: [],
    inFlight: 0,
    mostInFlight: 0,
    async publish(batch) {
      state.calls.push(batch);
      state.inFlight += 1;
      state.mostInFlight = Math.max(state.mostInFlight, state.inFlight);
      try {
        await decide(batch, state.calls.length);
        state.taken.push(...batch.events.map(({ sequence }) => sequence));
      } finally {
        state.inFlight -= 1;
      }
    },
    async ping() {},
    async close() {},
  };
  return state;
}

async function setUp(
  events: number,
  publisher: EventPublisher,
  change: Partial<EventProcessorConfig> & {
    topics?: string[];
    leaseMs?: number;
    /** What the processor reads from. */
    reader?: (store: SessionStore) => Pick<SessionStore, 'read'>;
    /** How far an attempt before has come. */
    before?: { cursor: number; deferred: number };
  } = {},
) {
  const { topics = ['t'], leaseMs = 60_000, reader = (store) => store, before, ...config } = change;
  const store = memoryStore();
  const { sessionId } = newSession();
  await store.start(newSession({ sessionId }));
  const accepted = Array.from({ length: events }, (_, i) =>
    newEvent(sessionId, { topic: topics[i % topics.length] ?? 't', data: i + 1 }),
  );
  if (events > 0) await store.append(sessionId, accepted, LIMITS);
  const askedAt = performance.now();
  if (before !== undefined) {
    await store.beginCommit(sessionId, { attemptId: 'before', leaseMs, cause: CAUSE });
    await store.advance(sessionId, { epoch: 1, ...before, leaseMs });
    await store.releaseCommit(sessionId, 1);
  }
  const grant = await store.beginCommit(sessionId, { attemptId: 'a', leaseMs, cause: CAUSE });
  if (grant.outcome !== 'granted') throw new Error(grant.outcome);
  const deferred: StoredEvent[] = [];
  const metrics = createMetrics('test');
  const processor = createEventProcessor({
    store: reader(store),
    publisher,
    breaker: breakerAfter(100),
    defer: async (_id, rest) => {
      deferred.push(...rest);
    },
    events: createDomainEvents('test', silentLogger),
    metrics,
    batchEvents: 10,
    batchBytes: 1_000_000,
    inFlight: 3,
    retries: 2,
    backoffMs: 1,
    ...config,
  });
  const lease = holdLease(store, {
    sessionId,
    leaseMs,
    askedAt,
    over: new AbortController().signal,
    ...grant,
  });
  const run = (signal?: AbortSignal, held: CommitLease = lease) =>
    processor.run({ sessionId, events, lease: held, signal });
  return { store, sessionId, run, lease, deferred, metrics, processor };
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('a broker that works', () => {
  test('gets every event once, in order, in batches by count', async () => {
    const nsq = broker();
    const { run, lease } = await setUp(95, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.taken).toEqual(upTo(95));
    expect(nsq.calls.map(({ events }) => events.length)).toEqual([...Array(9).fill(10), 5]);
    expect([lease.cursor, lease.deferred]).toEqual([95, 0]);
  });

  test('gets batches cut by bytes as well', async () => {
    const nsq = broker();
    const { run } = await setUp(10, nsq, { batchBytes: 500 });
    expect(await run()).toBe('complete');
    expect(nsq.taken).toEqual(upTo(10));
    expect(nsq.calls.length).toBeGreaterThan(4);
  });

  test('is not asked for an empty session', async () => {
    const nsq = broker();
    const { run } = await setUp(0, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.calls).toEqual([]);
  });

  test('G7: has no more batches in flight than the window, and as many if it is slow', async () => {
    const nsq = broker(() => new Promise((resolve) => setTimeout(resolve, 5)));
    const { run } = await setUp(200, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.mostInFlight).toBe(3);
  });

  test('G7: two pages more than the window are read at most', async () => {
    const nsq = broker(() => new Promise((resolve) => setTimeout(resolve, 5)));
    let confirmed = 0;
    let most = 0;
    const ends: number[] = [];
    const { run } = await setUp(100, nsq, {
      batchBytes: 500,
      reader: (store) => {
        const { advance } = store;
        store.advance = async (sessionId, progress) => {
          const outcome = await advance(sessionId, progress);
          confirmed = progress.cursor;
          return outcome;
        };
        return {
          read: async (sessionId, range) => {
            const page = await store.read(sessionId, range);
            ends.push(page.at(-1)?.sequence ?? 0);
            most = Math.max(most, ends.filter((end) => end > confirmed).length);
            return page;
          },
        };
      },
    });
    expect(await run()).toBe('complete');
    expect(most).toBe(3 + 2);
  });

  test('gets interleaved topics as one call per topic and batch, each in order', async () => {
    const nsq = broker();
    const { run } = await setUp(20, nsq, { topics: ['a', 'b'] });
    expect(await run()).toBe('complete');
    expect(nsq.calls.map(({ topic, events }) => `${topic}${events.length}`)).toEqual([
      'a5',
      'b5',
      'a5',
      'b5',
    ]);
    for (const topic of ['a', 'b']) {
      const sequences = nsq.calls
        .filter((call) => call.topic === topic)
        .flatMap(({ events }) => events.map((e) => e.sequence));
      expect(sequences).toEqual([...sequences].sort((x, y) => x - y));
    }
  });

  test('G3 G7: never has more batches ahead of the confirmed cursor than the window', async () => {
    let confirmed = 0;
    let furthest = 0;
    const nsq = broker(({ events }) => {
      furthest = Math.max(furthest, (events.at(-1)?.sequence ?? 0) - confirmed);
    });
    const { run, lease } = await setUp(300, nsq);
    const slow: CommitLease = {
      get cursor() {
        return lease.cursor;
      },
      get deferred() {
        return lease.deferred;
      },
      holds: () => lease.holds(),
      stop: () => lease.stop(),
      async advance(cursor, deferred) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        const moved = await lease.advance(cursor, deferred);
        confirmed = lease.cursor;
        return moved;
      },
    };
    expect(await run(undefined, slow)).toBe('complete');
    expect(furthest).toBeLessThanOrEqual(30);
  });
});

describe('a batch that fails', () => {
  test('is sent again before anything else, so that order holds', async () => {
    let failing = 2;
    const nsq = broker(async (_batch, call) => {
      await new Promise((resolve) => setTimeout(resolve, call % 2));
      // As a publisher has to: what overlaps behind a failed call fails too.
      if (call >= 3 && failing > 0) {
        if (call === 5) failing = 0;
        throw failure('unknown');
      }
    });
    const { run, deferred } = await setUp(100, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.taken).toEqual(upTo(100));
    expect(deferred).toEqual([]);
  });

  test('is not overtaken by a batch that is read after the failure, though the window has room', async () => {
    let release = () => {};
    const otherTopic = new Promise<void>((resolve) => {
      release = resolve;
    });
    const nsq = broker(async ({ topic }, call) => {
      if (call > 2) return;
      if (topic === 'b') await otherTopic;
      else throw failure('unknown');
    });
    const { run, store, deferred } = await setUp(30, nsq, { topics: ['a', 'b'] });
    const { read } = store;
    store.read = async (sessionId, range) => {
      const page = await read(sessionId, { ...range, limit: 10 });
      // One topic of the first batch has failed, the other one is still in flight.
      if (range.after === 10) {
        await expect.poll(() => nsq.calls.length === 2 && nsq.inFlight === 1).toBe(true);
        setTimeout(release, 20);
      }
      return page;
    };
    expect(await run()).toBe('complete');
    const firstOfA = nsq.calls.flatMap(({ topic, events }) => (topic === 'a' ? events[0]?.sequence : []));
    expect(firstOfA).toEqual([1, 1, 11, 21]);
    expect(nsq.taken.filter((n) => n % 2 === 1)).toEqual(upTo(30).filter((n) => n % 2 === 1));
    expect(deferred).toEqual([]);
  });

  test('goes to the log after its retries, with everything behind it, in order', async () => {
    const nsq = broker(({ events }) => {
      if ((events[0]?.sequence ?? 0) > 30) throw failure('not_done');
    });
    const { run, deferred, lease, metrics } = await setUp(95, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.taken).toEqual(upTo(30));
    expect(deferred.map(({ sequence }) => sequence)).toEqual(upTo(95).slice(30));
    expect([lease.cursor, lease.deferred]).toEqual([95, 65]);
    const { events } = metrics.snapshot({ active: 0, contingency: undefined });
    expect([events.published, events.deferred]).toEqual([30, 65]);
    const attempts = nsq.calls.filter(({ events: [first] }) => first?.sequence === 31);
    expect(attempts).toHaveLength(3);
  });

  test('is an error without a log, and the cursor stays before it', async () => {
    const nsq = broker(({ events }) => {
      if ((events[0]?.sequence ?? 0) > 30) throw failure('not_done');
    });
    const { run, lease } = await setUp(95, nsq, { defer: undefined });
    await expect(run()).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    expect(lease.cursor).toBe(30);
    expect(nsq.inFlight).toBe(0);
  });

  test('that the broker refuses is taken apart: only the refused event goes to the log', async () => {
    const nsq = broker(({ events }) => {
      if (events.some(({ sequence }) => sequence === 17)) throw failure('refused');
    });
    const { run, deferred, lease } = await setUp(40, nsq, { inFlight: 1 });
    expect(await run()).toBe('complete');
    expect(deferred.map(({ sequence }) => sequence)).toEqual([17]);
    expect(nsq.taken).toEqual(upTo(40).filter((n) => n !== 17));
    expect(lease.deferred).toBe(1);
  });

  test('of one topic does not make the other topics of the batch go twice', async () => {
    let failures = 1;
    const nsq = broker(({ topic }) => {
      if (topic === 'b' && failures > 0) {
        failures -= 1;
        throw failure('unknown');
      }
    });
    const { run } = await setUp(10, nsq, { topics: ['a', 'b'] });
    expect(await run()).toBe('complete');
    expect(nsq.calls.map(({ topic }) => topic)).toEqual(['a', 'b', 'b']);
    expect([...nsq.taken].sort((x, y) => x - y)).toEqual(upTo(10));
  });

  test.each([
    ['before', ['a', 'b']],
    ['behind', ['b', 'a']],
  ])('is sent again though another topic, %s it, has an event that is refused', async (_where, topics) => {
    let failures = 2;
    const nsq = broker(({ topic, events }) => {
      if (topic === 'a' && events.some(({ sequence }) => sequence === 3 || sequence === 4))
        throw failure('refused');
      if (topic === 'b' && failures > 0) {
        failures -= 1;
        throw failure('not_done');
      }
    });
    const { run, deferred } = await setUp(10, nsq, { topics });
    expect(await run()).toBe('complete');
    const [refused] = deferred;
    expect(deferred.map(({ topic }) => topic)).toEqual(['a']);
    expect([...nsq.taken].sort((x, y) => x - y)).toEqual(upTo(10).filter((n) => n !== refused?.sequence));
    expect(nsq.calls.filter(({ topic }) => topic === 'b')).toHaveLength(3);
  });

  test('with an error of any other kind counts as unknown', async () => {
    const nsq = broker((_batch, call) => {
      if (call === 1) throw new TypeError('a bug in an adapter');
    });
    const { run } = await setUp(10, nsq);
    expect(await run()).toBe('complete');
    expect(nsq.taken).toEqual(upTo(10));
  });

  test('is not tried again when the circuit breaker is open', async () => {
    const nsq = broker(() => {
      throw failure('not_done');
    });
    const { run, deferred } = await setUp(50, nsq, { breaker: breakerAfter(1), inFlight: 1 });
    expect(await run()).toBe('complete');
    expect(nsq.calls).toHaveLength(1);
    expect(deferred).toHaveLength(50);
  });

  test('is told by a commit that finds the circuit breaker open', async () => {
    const breaker = breakerAfter(1);
    const cause = failure('not_done');
    breaker.failed(cause);
    const nsq = broker();
    const { run } = await setUp(1, nsq, { breaker, defer: undefined });
    await expect(run()).rejects.toMatchObject({ code: 'PUBLISH_FAILED', cause });
    expect(nsq.calls).toEqual([]);
  });
});

describe('a commit that has to stop', () => {
  test('stops between batches when the signal aborts, with the acknowledged ones counted', async () => {
    const controller = new AbortController();
    const nsq = broker((_batch, call) => {
      if (call === 3) controller.abort();
    });
    const { run, lease } = await setUp(100, nsq, { inFlight: 1 });
    expect(await run(controller.signal)).toBe('stopped');
    expect(nsq.taken).toEqual(upTo(30));
    expect(lease.cursor).toBe(30);
  });

  test('stops when another attempt has taken over', async () => {
    const nsq = broker();
    const { run, store, sessionId, lease } = await setUp(100, nsq, { inFlight: 1 });
    await store.releaseCommit(sessionId, 1);
    await store.beginCommit(sessionId, { attemptId: 'b', leaseMs: 60_000, cause: CAUSE });
    expect(await run()).toBe('lease_lost');
    expect(lease.holds()).toBe(false);
    expect(nsq.taken.length).toBeLessThanOrEqual(20);
  });

  test('sends nothing when its own clock says that the lease is over', async () => {
    const nsq = broker();
    const { run, lease } = await setUp(100, nsq);
    const over: CommitLease = { ...lease, cursor: 0, deferred: 0, holds: () => false };
    expect(await run(undefined, over)).toBe('lease_lost');
    expect(nsq.calls).toEqual([]);
  });

  test('sends nothing more of a batch that is taken apart when the lease is over', async () => {
    let held = true;
    const nsq = broker(({ events }) => {
      if (events.some(({ sequence }) => sequence === 3)) throw failure('refused');
      held = events[0]?.sequence !== 5;
    });
    const { run, deferred, lease } = await setUp(10, nsq);
    const ending: CommitLease = { ...lease, cursor: 0, deferred: 0, holds: () => held };
    expect(await run(undefined, ending)).toBe('lease_lost');
    expect(nsq.taken).toEqual([1, 2, 4, 5]);
    expect(deferred).toEqual([]);
  });

  test('defers nothing when the lease ends with the last attempt: whoever takes over publishes it', async () => {
    let held = true;
    const nsq = broker((_, call) => {
      held = call < 3;
      throw failure('not_done');
    });
    const { run, deferred, lease } = await setUp(10, nsq);
    const ending: CommitLease = { ...lease, cursor: 0, deferred: 0, holds: () => held };
    expect(await run(undefined, ending)).toBe('lease_lost');
    expect(nsq.calls).toHaveLength(3);
    expect(deferred).toEqual([]);
  });

  test('leaves nothing in flight behind when the store fails', async () => {
    const nsq = broker(() => new Promise((resolve) => setTimeout(resolve, 5)));
    const { run, lease } = await setUp(100, nsq);
    const broken: CommitLease = {
      ...lease,
      cursor: 0,
      deferred: 0,
      holds: () => true,
      advance: () =>
        Promise.reject(new EventSessionsError('STORE_UNAVAILABLE', 'gone', { outcome: 'unknown' })),
    };
    await expect(run(undefined, broken)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(nsq.inFlight).toBe(0);
    expect(nsq.taken.length).toBeLessThanOrEqual(30);
  });

  test('is told when the store has fewer events than it counted', async () => {
    const nsq = broker();
    const { store, sessionId, lease, processor } = await setUp(15, nsq);
    expect((await store.get(sessionId))?.events).toBe(15);
    const running = processor.run({ sessionId, events: 40, lease, signal: undefined });
    await expect(running).rejects.toMatchObject({ code: 'SESSION_CORRUPT', expected: 40, actual: 15 });
  });
});

describe('owed events', () => {
  test('that fail are left, in order, and refused ones are told apart', async () => {
    const { store, sessionId, processor } = await setUp(
      9,
      broker(({ events }) => {
        if (events.some(({ sequence }) => sequence === 4)) throw failure('refused');
        if (events.some(({ sequence }) => sequence === 7)) throw failure('not_done');
      }),
    );
    const owed = await store.read(sessionId, { after: 0, limit: 9, maxBytes: 1_000_000 });
    const result = await processor.publishOwed(sessionId, owed);
    expect(result.refused.map(({ sequence }) => sequence)).toEqual([4]);
    expect(result.left.map(({ sequence }) => sequence)).toEqual([7, 8, 9]);
    expect(result.error?.outcome).toBe('not_done');
  });

  test('of one topic that fail do not keep those of another from being told apart', async () => {
    const { store, sessionId, processor } = await setUp(
      10,
      broker(({ topic, events }) => {
        if (topic === 'a') throw failure('unknown');
        if (events.some(({ sequence }) => sequence === 4)) throw failure('refused');
      }),
      { topics: ['a', 'b'] },
    );
    const owed = await store.read(sessionId, { after: 0, limit: 10, maxBytes: 1_000_000 });
    const result = await processor.publishOwed(sessionId, owed);
    expect(result.refused.map(({ sequence }) => sequence)).toEqual([4]);
    expect(result.left.map(({ sequence }) => sequence)).toEqual([1, 3, 5, 7, 9]);
    expect(result.error?.outcome).toBe('unknown');
  });
});

describe('G4: nothing overtakes what has failed', () => {
  const slowReader = (store: SessionStore): Pick<SessionStore, 'read'> => ({
    read: async (sessionId, range) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      return store.read(sessionId, range);
    },
  });

  test('although the window has room, and reading takes longer than failing', async () => {
    const taken = broker((_, call) => {
      if (call === 1) throw failure('unknown');
    });
    const { run } = await setUp(8, taken, { batchEvents: 2, inFlight: 4, reader: slowReader });
    expect(await run()).toBe('complete');
    expect(taken.taken).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('when the circuit turned it away, and was closed again by one before it', async () => {
    let calls = 0;
    const breaker = { ...breakerAfter(100), allows: () => ++calls !== 2 };
    const taken = broker(() => new Promise((resolve) => setTimeout(resolve, 1)));
    const { run } = await setUp(8, taken, { batchEvents: 2, inFlight: 4, breaker });
    expect(await run()).toBe('complete');
    expect(taken.taken).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('behind an event that was refused for good, when the next one fails in another way', async () => {
    const taken = broker(({ events }) => {
      if (events.some(({ sequence }) => sequence === 1)) throw failure('refused');
      if (events.length === 1 && events[0]?.sequence === 2) throw failure('not_done');
    });
    const { run, deferred } = await setUp(9, taken, { batchEvents: 3, inFlight: 1 });
    expect(await run()).toBe('complete');
    expect(taken.taken).toEqual([]);
    expect(deferred.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('when an attempt before has left events in the log', async () => {
    const taken = broker();
    const { run, deferred } = await setUp(6, taken, { batchEvents: 2, before: { cursor: 2, deferred: 2 } });
    expect(await run()).toBe('complete');
    expect(taken.taken).toEqual([]);
    expect(deferred.map(({ sequence }) => sequence)).toEqual([3, 4, 5, 6]);
  });
});

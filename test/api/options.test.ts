import {
  createEventSessions,
  type EventSessionsError,
  isEventSessionsError,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { instance } from './instance.js';

function refusal(options: unknown): EventSessionsError {
  try {
    createEventSessions(options as never);
  } catch (error) {
    if (isEventSessionsError(error, 'INVALID_INPUT')) return error;
    throw error;
  }
  throw new Error('it was let through');
}

const withLimits = (limits: unknown) => ({ ...memoryPublisher(), limits });
const schema = z.string();

test('without options it works, in memory', async () => {
  const sessions = createEventSessions();
  const session = await sessions.startSession();
  await session.add('order.placed', { orderId: 'o-1' });
  expect(await session.commit()).toMatchObject({ status: 'committed', events: 1, published: 1, deferred: 0 });
  expect(await sessions.health()).toMatchObject({ status: 'ok' });
  await sessions.close();
});

describe('each wrong option is named, with what was expected and what came', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['source', 5, 'source', /a URI reference .*, got 5/],
    ['source', 'a b', 'source', /without spaces, got "a b"/],
    ['source', '', 'source', /a URI reference/],
    ['store', {}, 'store', /a store such as redisStore\(\) .*start.*, got an object/],
    ['store', 'redis://127.0.0.1', 'store', /a store such as redisStore\(\)/],
    ['store', { ...memoryStore(), advance: 1 }, 'store', /advance/],
    ['publisher', memoryStore(), 'publisher', /a publisher such as nsqPublisher\(\) .*publish/],
    ['publisher', withLimits(undefined), 'publisher', /with limits.maxEventBytes/],
    ['publisher', withLimits({}), 'publisher', /with limits.maxEventBytes/],
    ['publisher', withLimits({ maxEventBytes: Number.NaN }), 'publisher', /with limits.maxEventBytes/],
    ['contingency', true, 'contingency', /a contingency log such as fileContingency\(\), or false, got true/],
    ['contingency', 'log.jsonl', 'contingency', /a contingency log/],
    ['events', [], 'events', /an object of event types and schemas/],
    [
      'events',
      { a: {} },
      'events.a',
      /a schema \(Standard Schema\), or \{ schema, topic \}.*, got an object/,
    ],
    ['events', { a: { schema: { '~standard': {} } } }, 'events.a', /a schema/],
    [
      'events',
      { a: { schema, topic: 'a b' } },
      'events.a',
      /a topic of 1 to 64 characters .*, got an object/,
    ],
    ['events', { a: { schema, topik: 'mails' } }, 'events.a', /\{ schema, topic \}/],
    ['events', { 'a\n': {} }, 'events.a\\u000a', /text of 1 to 256 characters/],
    ['events', JSON.parse('{"__proto__":{}}'), 'events', /none of them __proto__/],
    ['topic', 'orders', 'topic', /a function \(event\) => topic, got "orders"/],
    ['ttl', 0, 'ttl', /a whole number of milliseconds from 1 to .*, got 0/],
    ['ttl', '24h', 'ttl', /a whole number .*, got "24h"/],
    ['ttl', Number.POSITIVE_INFINITY, 'ttl', /a whole number .*, got Infinity/],
    ['retention', -1, 'retention', /a whole number/],
    ['limits', 5, 'limits', /object, got 5/],
    ['limits', { maxDepth: 1_001 }, 'limits.maxDepth', /from 1 to 1000, got 1001/],
    ['limits', { maxEventBytes: 1.5 }, 'limits.maxEventBytes', /a whole number of at least 1, got 1.5/],
    ['limits', { maxSessionEvents: null }, 'limits.maxSessionEvents', /got null/],
    ['limits', { maxSessionBytes: Number.NaN }, 'limits.maxSessionBytes', /got NaN/],
    ['limits', { maxEvents: 1 }, 'limits.maxEvents', /is not an option \(options: .*maxSessionEvents.*\)/],
    ['commit', { batchEvents: 10_001 }, 'commit.batchEvents', /from 1 to 10000/],
    ['commit', { batchBytes: 0 }, 'commit.batchBytes', /at least 1/],
    ['commit', { inFlight: 65 }, 'commit.inFlight', /from 1 to 64/],
    ['commit', { leaseMs: 29 }, 'commit.leaseMs', /from 30 to 2147483647/],
    ['commit', { retries: -1 }, 'commit.retries', /from 0 to 20/],
    ['recovery', true, 'recovery', /false, or \{ intervalMs \}/],
    ['recovery', { intervalMs: 0 }, 'recovery.intervalMs', /a whole number of milliseconds from 1 to/],
    ['metrics', { intervalMs: 2 ** 31 }, 'metrics.intervalMs', /from 1 to 2147483647/],
    ['logger', { info() {} }, 'logger', /debug, info, warn and error/],
    ['logger', true, 'logger', /or false, got true/],
    ['instanceId', 'a\n', 'instanceId', /text of 1 to 128 characters/],
    ['stroe', memoryStore(), 'stroe', /is not an option \(options: source, store, .*\)/],
  ])('%s: %o', (name, value, path, message) => {
    const error = refusal({ [name]: value });
    expect(error.issues?.map((issue) => issue.path)).toEqual([path]);
    expect(error.issues?.[0]?.message).toMatch(message);
    expect(error.message).toContain('The options of createEventSessions: ');
    expect(error.message).toContain(error.issues?.[0]?.message);
  });

  test.each([null, 5, 'redis://127.0.0.1', [], () => {}])('%o instead of options', (options) => {
    expect(refusal(options).message).toMatch(/^The options of createEventSessions: expected object, got /);
  });

  test('all at once, when several are wrong', () => {
    const error = refusal({
      ttl: 'x',
      limits: { maxDepth: 0, deep: 1 },
      commit: { inFlight: 0 },
      storage: 1,
    });
    expect(error.issues?.map(({ path }) => path).sort()).toEqual([
      'commit.inFlight',
      'limits.deep',
      'limits.maxDepth',
      'storage',
      'ttl',
    ]);
  });
});

test('options that are undefined are as if they were not there', async () => {
  await using sessions = createEventSessions({
    source: undefined,
    store: undefined,
    publisher: undefined,
    contingency: undefined,
    events: undefined,
    topic: undefined,
    ttl: undefined,
    retention: undefined,
    limits: { maxDepth: undefined },
    commit: undefined,
    recovery: { intervalMs: undefined },
    metrics: undefined,
    logger: undefined,
    instanceId: undefined,
  });
  expect(sessions.instanceId).toMatch(/-\d+-[\w-]{6}$/);
});

test('source, topic and instanceId arrive where they belong', async () => {
  const publisher = memoryPublisher();
  await using sessions = createEventSessions({
    publisher,
    source: '/shop/orders',
    topic: ({ type, subject }) => `${type}.${subject}`,
    instanceId: 'shop-1',
  });
  const session = await sessions.startSession();
  await session.add('order', 1, { subject: 'o-1' });
  await session.commit();
  expect(publisher.published).toMatchObject([{ topic: 'order.o-1', event: { source: '/shop/orders' } }]);
  expect((await session.status()).history.map(({ instance }) => instance)).toEqual([
    'shop-1',
    'shop-1',
    'shop-1',
  ]);
});

test('an event is never larger than the publisher can carry', async () => {
  await using sessions = createEventSessions({ publisher: memoryPublisher({ maxEventBytes: 1_000 }) });
  const session = await sessions.startSession();
  await expect(session.add('a', 'x'.repeat(1_000))).rejects.toMatchObject({
    code: 'EVENT_TOO_LARGE',
    limit: 1_000,
  });
});

test('the longest intervals are not so long, with their jitter, that a timer takes them for 1 ms', () => {
  const setTimer = vi.spyOn(globalThis, 'setTimeout');
  vi.spyOn(Math, 'random').mockReturnValue(0.99);
  try {
    const intervalMs = 2_147_483_647;
    instance({ recovery: { intervalMs }, metrics: { intervalMs } });
    expect(Math.max(...setTimer.mock.calls.map(([, ms = 0]) => ms))).toBe(intervalMs);
  } finally {
    vi.restoreAllMocks();
  }
});

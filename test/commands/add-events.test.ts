import { memoryContingency } from 'event-sessions';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { EventSessionsError } from '../../src/core/errors.js';
import { handlers, refusalOf, sessionOf, TTL_MS, upTo } from './support/handlers.js';

const storeDown = async () => {
  throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'not_done' });
};

test('the receipt names each event, in order', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  const receipt = await on.addEvents({
    sessionId,
    events: [
      { type: 'a', data: 1, id: 'e-1' },
      { type: 'b', data: { n: 2 } },
    ],
  });
  expect(receipt).toEqual({
    sessionId,
    events: [
      { sessionId, eventId: 'e-1', duplicate: false, deferred: false },
      { sessionId, eventId: expect.stringMatching(/^[\w-]{22}-\d+$/), duplicate: false, deferred: false },
    ],
    deferred: false,
  });
  const { events } = await on.getSessionEvents({ sessionId });
  expect(events.map(({ id, data }) => [id, data])).toEqual([
    ['e-1', 1],
    [receipt.events[1]?.eventId, { n: 2 }],
  ]);
  expect(on.told.slice(1)).toMatchObject([
    { type: 'event.added', sessionId, eventId: 'e-1', topic: 'a', deferred: false },
    { type: 'event.added', sessionId, eventId: receipt.events[1]?.eventId, topic: 'b', deferred: false },
  ]);
  expect(on.metrics().events.added).toBe(2);
});

test('an add renews the time to live', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  on.clock.now += TTL_MS - 1;
  await on.addEvents({ sessionId, events: [{ type: 'a', data: 1 }] });
  expect((await on.getSessionStatus({ sessionId })).expiresAt).toBe(on.clock.now + TTL_MS);
});

describe('the same event id twice', () => {
  test('in two calls is one event: the first', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    await on.addEvents({ sessionId, events: [{ type: 'a', data: 'first', id: 'e-1' }] });
    const again = await on.addEvents({
      sessionId,
      events: [
        { type: 'a', data: 'second', id: 'e-1' },
        { type: 'a', data: 'new', id: 'e-2' },
      ],
    });
    expect(again.events.map(({ eventId, duplicate }) => [eventId, duplicate])).toEqual([
      ['e-1', true],
      ['e-2', false],
    ]);
    expect((await on.getSessionEvents({ sessionId })).events.map(({ data }) => data)).toEqual([
      'first',
      'new',
    ]);
    expect(on.toldTypes().filter((type) => type === 'event.added')).toHaveLength(2);
    expect(on.metrics().events.added).toBe(2);
  });

  test('in one call is one event as well', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    const event = { type: 'a', data: 1, id: 'e-1' };
    const { events } = await on.addEvents({ sessionId, events: [event, event] });
    expect(events.map(({ duplicate }) => duplicate)).toEqual([false, true]);
    expect((await on.getSessionStatus({ sessionId })).events).toBe(1);
  });
});

describe('of many, all are added or none', () => {
  const catalogue = { a: z.number(), slow: z.number().refine(async (n) => n > 0) };

  test('and they are those that were given, whatever the caller does with the array meanwhile', async () => {
    const on = handlers({ catalogue });
    const sessionId = await sessionOf(on);
    const events = [
      { type: 'slow', data: 1 },
      { type: 'a', data: 2 },
    ];
    const adding = on.addEvents({ sessionId, events: events as never });
    events[1] = { type: 'a', data: 3 };
    events.push({ type: 'a', data: 4 });
    expect((await adding).events).toHaveLength(2);
    const stored = await on.getSessionEvents({ sessionId });
    expect(stored.events.map(({ data }) => data)).toEqual([1, 2]);
  });

  test.each<[string, unknown, string]>([
    ['has wrong data', { type: 'a', data: 'x' }, 'INVALID_EVENT'],
    ['is refused by an async schema', { type: 'slow', data: -1 }, 'INVALID_EVENT'],
    ['has an unknown type', { type: 'b', data: 1 }, 'UNKNOWN_EVENT_TYPE'],
    ['has a bad topic', { type: 'a', data: 1, topic: 'a b' }, 'INVALID_TOPIC'],
    ['has a bad id', { type: 'a', data: 1, id: 'a b' }, 'INVALID_INPUT'],
    ['has a bad extension', { type: 'a', data: 1, extensions: { id: 'x' } }, 'INVALID_INPUT'],
  ])('the last one %s', async (_, last, code) => {
    const on = handlers({ catalogue });
    const sessionId = await sessionOf(on);
    const events = [{ type: 'a', data: 1 }, { type: 'slow', data: 2 }, last];
    const error = await refusalOf(() => on.addEvents({ sessionId, events: events as never }));
    expect(error).toMatchObject({ code, index: 2 });
    expect((await on.getSessionStatus({ sessionId })).events).toBe(0);
    expect(on.toldTypes()).toEqual(['session.started']);
    expect(on.metrics().events.added).toBe(0);
  });

  test('the last one is too large', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    const events = [
      { type: 'a', data: 1 },
      { type: 'a', data: 'x'.repeat(10_000), id: 'e-2' },
    ];
    expect(await refusalOf(() => on.addEvents({ sessionId, events }))).toMatchObject({
      code: 'EVENT_TOO_LARGE',
      index: 1,
      eventId: 'e-2',
      limit: 10_000,
    });
    expect((await on.getSessionStatus({ sessionId })).events).toBe(0);
  });

  test('one more would be too many for the session', async () => {
    const on = handlers({ limits: { maxSessionEvents: 3 } });
    const sessionId = await sessionOf(on, 2);
    const two = [
      { type: 'a', data: 3 },
      { type: 'a', data: 4 },
    ];
    const error = await refusalOf(() => on.addEvents({ sessionId, events: two }));
    expect(error).toMatchObject({ code: 'SESSION_LIMIT_EXCEEDED', sessionId, limit: 3 });
    expect(error.message).toContain('limits.maxSessionEvents');
    expect((await on.getSessionStatus({ sessionId })).events).toBe(2);
    await on.addEvents({ sessionId, events: two.slice(0, 1) });
    expect((await on.getSessionStatus({ sessionId })).events).toBe(3);
  });

  test('the bytes of the session would be too many', async () => {
    const on = handlers({ limits: { maxSessionBytes: 5_000 } });
    const sessionId = await sessionOf(on, 1);
    const events = [{ type: 'a', data: 'x'.repeat(5_000) }];
    const error = await refusalOf(() => on.addEvents({ sessionId, events }));
    expect(error).toMatchObject({ code: 'SESSION_LIMIT_EXCEEDED', limit: 5_000 });
    expect(error.message).toContain('limits.maxSessionBytes');
    expect((await on.getSessionStatus({ sessionId })).events).toBe(1);
  });
});

describe('a session that takes no events', () => {
  test('because it is unknown', async () => {
    const on = handlers();
    const call = () => on.addEvents({ sessionId: 's-9', events: [{ type: 'a', data: 1 }] });
    expect(await refusalOf(call)).toMatchObject({ code: 'SESSION_NOT_FOUND', sessionId: 's-9' });
  });

  test.each(['committed', 'rolled_back', 'expired', 'committing'] as const)(
    'because it is %s',
    async (status) => {
      const on = handlers();
      const sessionId = await sessionOf(on, 1);
      if (status === 'committed') await on.commitSession({ sessionId });
      if (status === 'rolled_back') await on.rollbackSession({ sessionId });
      if (status === 'expired') on.clock.now += TTL_MS;
      if (status === 'committing') {
        await on.memory.beginCommit(sessionId, {
          attemptId: 'a',
          leaseMs: 1_000,
          cause: { instance: 'instance-2' },
        });
      }
      const call = () => on.addEvents({ sessionId, events: [{ type: 'a', data: 2 }] });
      expect(await refusalOf(call)).toMatchObject({ code: 'SESSION_NOT_OPEN', sessionId, status });
      expect((await on.getSessionStatus({ sessionId })).events).toBe(1);
    },
  );
});

describe('a wrong input adds nothing', () => {
  test.each<[string, unknown]>([
    ['no events', []],
    ['10,001 events', new Array(10_001).fill({ type: 'a', data: 1 })],
    ['one event that is no array', { type: 'a', data: 1 }],
    ['an event that is null', [{ type: 'a', data: 1 }, null]],
    ['an event that is text', ['a']],
    ['nothing', undefined],
    ['holes', new Array(3)],
    ['an event and a hole', Object.assign(new Array(2), { 0: { type: 'a', data: 1 } })],
    ['an event that is an array', [['a', 1]]],
  ])('%s', async (_, events) => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    const error = await refusalOf(() => on.addEvents({ sessionId, events: events as never }));
    expect(error.code).toBe('INVALID_INPUT');
    expect((await on.getSessionStatus({ sessionId })).events).toBe(0);
  });

  test.each(['', 'a b', 'x'.repeat(129), 5, null, undefined])('the session id %j', async (sessionId) => {
    const on = handlers();
    const events = [{ type: 'a', data: 1 }];
    const error = await refusalOf(() => on.addEvents({ sessionId, events } as never));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: 'sessionId' }] });
  });

  test.each([undefined, null, 'x', 5])('%j instead of an object', async (input) => {
    const on = handlers();
    expect((await refusalOf(() => on.addEvents(input as never))).code).toBe('INVALID_INPUT');
  });
});

test('10,000 events in one call keep their order', async () => {
  const on = handlers({
    limits: { maxSessionEvents: 10_000, maxSessionBytes: 100_000_000 },
    batchEvents: 1_000,
  });
  const sessionId = await sessionOf(on);
  await on.addEvents({ sessionId, events: upTo(10_000).map((data) => ({ type: 'a', data })) });
  await on.commitSession({ sessionId });
  expect(on.published()).toEqual(upTo(10_000));
});

test('data is taken as it is at the call: what is changed afterwards does not count', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  const data = { n: 1 };
  const adding = on.addEvents({ sessionId, events: [{ type: 'a', data }] });
  await adding;
  data.n = 2;
  await on.commitSession({ sessionId });
  expect(on.published()).toEqual([{ n: 1 }]);
});

describe('with the store down', () => {
  test('it is deferred, and duplicates among the deferred are known', async () => {
    const on = handlers({ store: () => ({ append: storeDown }) });
    const sessionId = await sessionOf(on);
    const event = { type: 'a', data: 1, id: 'e-1' };
    expect(await on.addEvents({ sessionId, events: [event] })).toEqual({
      sessionId,
      events: [{ sessionId, eventId: 'e-1', duplicate: false, deferred: true }],
      deferred: true,
    });
    expect(on.told.at(-1)).toMatchObject({ type: 'event.added', eventId: 'e-1', deferred: true });
    expect(await on.addEvents({ sessionId, events: [event] })).toMatchObject({
      events: [{ duplicate: true, deferred: true }],
    });
  });

  test('without contingency it is STORE_UNAVAILABLE, with a full log CONTINGENCY_FAILED, and nothing was added', async () => {
    const event = { type: 'a', data: 1 };
    const without = handlers({ store: () => ({ append: storeDown }), log: false });
    const sessionId = await sessionOf(without);
    expect((await refusalOf(() => without.addEvents({ sessionId, events: [event] }))).code).toBe(
      'STORE_UNAVAILABLE',
    );
    const full = handlers({ store: () => ({ append: storeDown }), log: memoryContingency({ maxBytes: 1 }) });
    await sessionOf(full);
    const error = await refusalOf(() => full.addEvents({ sessionId, events: [event] }));
    expect(error).toMatchObject({ code: 'CONTINGENCY_FAILED', sessionId });
    for (const on of [without, full]) {
      expect(on.metrics().events.added).toBe(0);
      expect(on.toldTypes()).toEqual(['session.started']);
    }
  });

  test('an error of the store that is not ours counts as unknown', async () => {
    const cause = new TypeError('a bug in the driver');
    const on = handlers({
      store: () => ({
        append: async () => {
          throw cause;
        },
      }),
      log: false,
    });
    const sessionId = await sessionOf(on);
    const call = () => on.addEvents({ sessionId, events: [{ type: 'a', data: 1 }] });
    expect(await refusalOf(call)).toMatchObject({ code: 'STORE_UNAVAILABLE', outcome: 'unknown', cause });
  });
});

import { describe, expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { handlers, refusalOf, sessionOf, upTo } from '../commands/support/handlers.js';

test('events come as whole CloudEvents with their position', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  await on.addEvents({ sessionId, events: [{ type: 'a', data: { n: 1 }, id: 'e-1', subject: 'o-1' }] });
  expect(await on.getSessionEvents({ sessionId })).toEqual({
    events: [
      {
        specversion: '1.0',
        id: 'e-1',
        source: '/test',
        type: 'a',
        time: expect.any(String),
        sessionid: sessionId,
        subject: 'o-1',
        datacontenttype: 'application/json',
        data: { n: 1 },
        sequence: '0000000001',
      },
    ],
    next: undefined,
  });
});

describe('paging', () => {
  test.each([1, 3, 7, 10, 1_000])('by %i gives every event once, in order, and ends', async (limit) => {
    const on = handlers();
    const sessionId = await sessionOf(on, 10);
    const pages: unknown[][] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await on.getSessionEvents({ sessionId, after, limit });
      pages.push(page.events.map(({ data }) => data));
      after = page.next;
    }
    expect(pages.flat()).toEqual(upTo(10));
    expect(pages).toHaveLength(Math.ceil(10 / limit));
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(limit);
  });

  test('is by 100 unless told otherwise', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 150);
    const { events, next } = await on.getSessionEvents({ sessionId });
    expect([events.length, next]).toEqual([100, 100]);
  });

  test('behind the last event there is nothing', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on, 3);
    for (const after of [3, 4, 1_000_000])
      expect(await on.getSessionEvents({ sessionId, after })).toEqual({ events: [], next: undefined });
  });

  test('an empty session has an empty page', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    expect(await on.getSessionEvents({ sessionId })).toEqual({ events: [], next: undefined });
  });

  test('large events make pages shorter, and none is left out', async () => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    const json = (n: number) => ({
      id: `e-${n}`,
      topic: 't',
      json: `{"specversion":"1.0","id":"e-${n}","datacontenttype":"application/json","data":"${'x'.repeat(2_000_000)}"}`,
    });
    const limits = { maxSessionEvents: 10, maxSessionBytes: 100_000_000 };
    await on.memory.append(sessionId, [json(1), json(2), json(3)], limits);
    const first = await on.getSessionEvents({ sessionId });
    expect([first.events.map(({ id }) => id), first.next]).toEqual([['e-1', 'e-2'], 2]);
    const second = await on.getSessionEvents({ sessionId, after: 2 });
    expect([second.events.map(({ id }) => id), second.next]).toEqual([['e-3'], undefined]);
  });

  test('of a session whose events the store has lost comes to an end', async () => {
    const on = handlers({ store: () => ({ read: async () => [] }) });
    const sessionId = await sessionOf(on, 3);
    let next: number | undefined;
    try {
      next = (await on.getSessionEvents({ sessionId, after: 1 })).next;
    } catch (error) {
      expect(error).toMatchObject({ code: 'SESSION_CORRUPT' });
    }
    // `after: 1` answered with `next: 1` is a reader that never stops.
    expect(next).not.toBe(1);
  });
});

test.each(['committed', 'rolled_back'] as const)(
  'a session that is %s still shows its events',
  async (status) => {
    const on = handlers();
    const sessionId = await sessionOf(on, 2);
    await (status === 'committed' ? on.commitSession({ sessionId }) : on.rollbackSession({ sessionId }));
    expect((await on.getSessionEvents({ sessionId })).events.map(({ data }) => data)).toEqual([1, 2]);
  },
);

test('an unknown session is not found', async () => {
  const on = handlers();
  expect((await refusalOf(() => on.getSessionEvents({ sessionId: 's-9' }))).code).toBe('SESSION_NOT_FOUND');
});

test.each<[unknown, string]>([
  [{ sessionId: 'a b' }, 'sessionId'],
  [{ sessionId: 's-1', after: -1 }, 'after'],
  [{ sessionId: 's-1', after: 0.5 }, 'after'],
  [{ sessionId: 's-1', after: '1' }, 'after'],
  [{ sessionId: 's-1', limit: 0 }, 'limit'],
  [{ sessionId: 's-1', limit: 1_001 }, 'limit'],
  [{ sessionId: 's-1', limit: Number.NaN }, 'limit'],
  [{ sessionId: 's-1', offset: 1 }, 'offset'],
  [undefined, ''],
])('%j is refused', async (input, path) => {
  const on = handlers();
  const error = await refusalOf(() => on.getSessionEvents(input as never));
  expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
});

test('with the store down half way it is an error of ours', async () => {
  const on = handlers({
    store: () => ({
      read: async () => {
        throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'unknown' });
      },
    }),
  });
  const sessionId = await sessionOf(on, 1);
  expect((await refusalOf(() => on.getSessionEvents({ sessionId }))).code).toBe('STORE_UNAVAILABLE');
});

import { describe, expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { handlers, refusalOf, sessionOf, TTL_MS } from './support/handlers.js';

const storeDown = async () => {
  throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'not_done' });
};

test('a session is made under a random id, and the receipt says so', async () => {
  const on = handlers();
  const receipt = await on.startSession();
  expect(receipt).toEqual({
    sessionId: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
    status: 'open',
    created: true,
    deferred: false,
  });
  expect(await on.getSessionStatus({ sessionId: receipt.sessionId })).toMatchObject({
    status: 'open',
    events: 0,
    metadata: {},
  });
  expect(on.told).toMatchObject([
    { type: 'session.started', sessionId: receipt.sessionId, deferred: false, instanceId: 'instance-1' },
  ]);
  expect(on.metrics().sessions.started).toBe(1);
});

test("the caller's own id, metadata and ttl are kept", async () => {
  const on = handlers();
  const metadata = { user: 'u-1', roles: ['a'], nested: { n: null } };
  await on.startSession({ sessionId: 'order-1', metadata, ttl: 5_000 });
  expect(await on.getSessionStatus({ sessionId: 'order-1' })).toMatchObject({
    metadata,
    createdAt: on.clock.now,
    expiresAt: on.clock.now + 5_000,
    history: [{ status: 'open', at: on.clock.now, instance: 'instance-1' }],
  });
  const { sessionId } = await on.startSession();
  expect((await on.getSessionStatus({ sessionId })).expiresAt).toBe(on.clock.now + TTL_MS);
});

test('repeated under the same id it is the same session: metadata, ttl and events stay', async () => {
  const on = handlers();
  await on.startSession({ sessionId: 'order-1', metadata: { first: true }, ttl: 5_000 });
  await on.addEvents({ sessionId: 'order-1', events: [{ type: 'a', data: 1 }] });
  const before = await on.getSessionStatus({ sessionId: 'order-1' });
  expect(await on.startSession({ sessionId: 'order-1', metadata: { second: true }, ttl: 9_000 })).toEqual({
    sessionId: 'order-1',
    status: 'open',
    created: false,
    deferred: false,
  });
  expect(await on.getSessionStatus({ sessionId: 'order-1' })).toEqual(before);
  expect(on.toldTypes()).toEqual(['session.started', 'event.added']);
  expect(on.metrics().sessions.started).toBe(1);
});

test('of several starts at once under one id exactly one creates it', async () => {
  const on = handlers();
  const receipts = await Promise.all(Array.from({ length: 10 }, () => on.startSession({ sessionId: 's-1' })));
  expect(receipts.filter(({ created }) => created)).toHaveLength(1);
});

test.each(['committed', 'rolled_back', 'expired'] as const)(
  'an id whose session is %s is refused',
  async (end) => {
    const on = handlers();
    const sessionId = await sessionOf(on);
    if (end === 'committed') await on.commitSession({ sessionId });
    if (end === 'rolled_back') await on.rollbackSession({ sessionId });
    if (end === 'expired') on.clock.now += TTL_MS;
    expect(await refusalOf(() => on.startSession({ sessionId }))).toMatchObject({
      code: 'SESSION_NOT_OPEN',
      sessionId,
      status: end,
    });
  },
);

describe('a wrong input starts nothing', () => {
  const bad: [string, unknown, string][] = [
    ['an id with a space', { sessionId: 'a b' }, 'sessionId'],
    ['an empty id', { sessionId: '' }, 'sessionId'],
    ['an id of 129 characters', { sessionId: 'x'.repeat(129) }, 'sessionId'],
    ['an id that is a number', { sessionId: 5 }, 'sessionId'],
    ['a ttl of 0', { ttl: 0 }, 'ttl'],
    ['a ttl of 1.5', { ttl: 1.5 }, 'ttl'],
    ['a ttl without end', { ttl: Number.POSITIVE_INFINITY }, 'ttl'],
    ['a ttl that is text', { ttl: '5' }, 'ttl'],
    ['metadata that is text', { metadata: 'x' }, 'metadata'],
    ['metadata that is null', { metadata: null }, 'metadata'],
    ['metadata that is an array', { metadata: [] }, 'metadata'],
    ['metadata that is a Map', { metadata: new Map() }, 'metadata'],
    ['metadata that is a date', { metadata: new Date(0) }, 'metadata'],
    ['metadata with a toJSON that answers an array', { metadata: { toJSON: () => [1] } }, 'metadata'],
    ['metadata with a BigInt', { metadata: { a: { b: 1n } } }, 'metadata.a.b'],
    ['metadata with a key __proto__', { metadata: JSON.parse('{"__proto__":1}') }, 'metadata'],
    ['metadata with a cycle', { metadata: cyclic() }, 'metadata.self'],
    ['an option that there is not', { sessionID: 'a' }, 'sessionID'],
  ];

  test.each(bad)('%s', async (_, input, path) => {
    const on = handlers();
    const error = await refusalOf(() => on.startSession(input as never));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
    expect((await on.listSessions()).sessions).toEqual([]);
    expect(on.told).toEqual([]);
  });

  test.each([null, 'x', 5, []])('%j instead of an object', async (input) => {
    const on = handlers();
    expect((await refusalOf(() => on.startSession(input as never))).code).toBe('INVALID_INPUT');
  });

  test('metadata of more than 16 KiB, counted in bytes', async () => {
    const on = handlers();
    const fits = { a: '€'.repeat(Math.floor((16_384 - 8) / 3)) };
    await on.startSession({ sessionId: 's-1', metadata: fits });
    const error = await refusalOf(() => on.startSession({ sessionId: 's-2', metadata: { a: `${fits.a}€` } }));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', limit: 16_384 });
    expect(error.message).toContain('metadata');
    expect(await refusalOf(() => on.getSessionStatus({ sessionId: 's-2' }))).toMatchObject({
      code: 'SESSION_NOT_FOUND',
    });
  });
});

test('with the store down it is deferred; without contingency it is an error', async () => {
  const on = handlers({ store: () => ({ start: storeDown }) });
  expect(await on.startSession({ sessionId: 's-1' })).toEqual({
    sessionId: 's-1',
    status: 'open',
    created: true,
    deferred: true,
  });
  expect(on.told.at(-1)).toMatchObject({ type: 'session.started', deferred: true });
  const without = handlers({ store: () => ({ start: storeDown }), log: false });
  expect(await refusalOf(() => without.startSession())).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    outcome: 'not_done',
  });
  expect(without.metrics().sessions.started).toBe(0);
});

function cyclic(): Record<string, unknown> {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  return loop;
}

import { expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { handlers, refusalOf, sessionOf, TTL_MS } from './support/handlers.js';

test('the time to live starts anew, or is set, and the receipt tells until when', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 1);
  on.clock.now += 1_000;
  expect(await on.extendSession({ sessionId })).toEqual({ sessionId, expiresAt: on.clock.now + TTL_MS });
  expect(await on.extendSession({ sessionId, ttl: 5 })).toEqual({ sessionId, expiresAt: on.clock.now + 5 });
  expect(await on.getSessionStatus({ sessionId })).toMatchObject({ events: 1, expiresAt: on.clock.now + 5 });
});

test('a session lives as long as it is extended in time', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  for (let i = 0; i < 3; i += 1) {
    on.clock.now += TTL_MS - 1;
    await on.extendSession({ sessionId });
  }
  on.clock.now += TTL_MS;
  expect(await refusalOf(() => on.extendSession({ sessionId }))).toMatchObject({
    code: 'SESSION_NOT_OPEN',
    status: 'expired',
  });
});

test.each(['committed', 'rolled_back'] as const)('a session that is %s is not extended', async (status) => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  await (status === 'committed' ? on.commitSession({ sessionId }) : on.rollbackSession({ sessionId }));
  const before = await on.getSessionStatus({ sessionId });
  const error = await refusalOf(() => on.extendSession({ sessionId, ttl: 1 }));
  expect(error).toMatchObject({ code: 'SESSION_NOT_OPEN', sessionId, status });
  expect(await on.getSessionStatus({ sessionId })).toEqual(before);
});

test('an unknown session is not found', async () => {
  const on = handlers();
  expect((await refusalOf(() => on.extendSession({ sessionId: 's-9' }))).code).toBe('SESSION_NOT_FOUND');
});

test.each<[unknown, string]>([
  [{ sessionId: 'a b' }, 'sessionId'],
  [{ sessionId: 's-1', ttl: 0 }, 'ttl'],
  [{ sessionId: 's-1', ttl: -1 }, 'ttl'],
  [{ sessionId: 's-1', ttl: 1e15 }, 'ttl'],
  [{ sessionId: 's-1', ttlMs: 5 }, 'ttlMs'],
  [undefined, ''],
  [null, ''],
])('%j is refused before anything changed', async (input, path) => {
  const on = handlers();
  const sessionId = await sessionOf(on);
  const before = await on.getSessionStatus({ sessionId });
  on.clock.now += 1_000;
  const error = await refusalOf(() => on.extendSession(input as never));
  expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
  expect(await on.getSessionStatus({ sessionId })).toEqual(before);
});

test('with the store down it is an error, also with contingency', async () => {
  const on = handlers({
    store: () => ({
      extend: async () => {
        throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'unknown' });
      },
    }),
  });
  const sessionId = await sessionOf(on);
  expect(await refusalOf(() => on.extendSession({ sessionId }))).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    sessionId,
    outcome: 'unknown',
  });
});

import { expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import {
  handlers,
  LEASE_MS,
  RETENTION_MS,
  refusalOf,
  sessionOf,
  TTL_MS,
} from '../commands/support/handlers.js';

test('an open session is shown field by field', async () => {
  const on = handlers();
  await on.startSession({ sessionId: 's-1', metadata: { user: 'u-1' } });
  const createdAt = on.clock.now;
  on.clock.now += 1_000;
  await on.addEvents({ sessionId: 's-1', events: [{ type: 'a', data: 1 }] });
  expect(await on.getSessionStatus({ sessionId: 's-1' })).toEqual({
    sessionId: 's-1',
    status: 'open',
    events: 1,
    published: 0,
    deferred: 0,
    createdAt,
    expiresAt: createdAt + 1_000 + TTL_MS,
    leaseExpiresAt: undefined,
    epoch: 0,
    metadata: { user: 'u-1' },
    history: [{ status: 'open', at: createdAt, instance: 'instance-1' }],
  });
});

test('while it is being committed there is no expiry, but a lease', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 3);
  const cause = { instance: 'instance-2', reason: 'because' };
  await on.memory.beginCommit(sessionId, { attemptId: 'a', leaseMs: LEASE_MS, cause });
  await on.memory.advance(sessionId, { epoch: 1, cursor: 2, deferred: 1, leaseMs: LEASE_MS });
  expect(await on.getSessionStatus({ sessionId })).toMatchObject({
    status: 'committing',
    events: 3,
    published: 1,
    deferred: 1,
    epoch: 1,
    expiresAt: undefined,
    leaseExpiresAt: on.clock.now + LEASE_MS,
    history: [{ status: 'open' }, { status: 'committing', ...cause }],
  });
});

test('an open session past its time is expired, before anybody has cleared it away', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 1);
  on.clock.now += TTL_MS - 1;
  expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
  on.clock.now += 1;
  expect((await on.getSessionStatus({ sessionId })).status).toBe('expired');
});

test('an ended session stays for its retention, and asking does not prolong it', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 1);
  await on.commitSession({ sessionId });
  on.clock.now += RETENTION_MS - 1;
  expect((await on.getSessionStatus({ sessionId })).status).toBe('committed');
  on.clock.now += 1;
  expect(await refusalOf(() => on.getSessionStatus({ sessionId }))).toMatchObject({
    code: 'SESSION_NOT_FOUND',
    sessionId,
  });
});

test('what is done with the answer does not reach the session', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 1);
  const view = await on.getSessionStatus({ sessionId });
  (view.metadata as Record<string, unknown>).hacked = true;
  (view.history as unknown[]).length = 0;
  expect(await on.getSessionStatus({ sessionId })).toMatchObject({
    metadata: {},
    history: [{ status: 'open' }],
  });
});

test.each([{ sessionId: 'a b' }, { sessionId: 's-1', verbose: true }, {}, null, undefined, 's-1'])(
  '%j is refused',
  async (input) => {
    const on = handlers();
    expect((await refusalOf(() => on.getSessionStatus(input as never))).code).toBe('INVALID_INPUT');
  },
);

test('with the store down it is an error of ours', async () => {
  const cause = new Error('ECONNREFUSED');
  const on = handlers({
    store: () => ({
      get: async () => {
        throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'not_done' }, cause);
      },
    }),
  });
  expect(await refusalOf(() => on.getSessionStatus({ sessionId: 's-1' }))).toMatchObject({
    code: 'STORE_UNAVAILABLE',
    sessionId: 's-1',
    outcome: 'not_done',
    cause,
  });
});

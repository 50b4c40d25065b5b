import { memoryContingency } from 'event-sessions';
import { expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { handlers, RETENTION_MS, refusalOf, sessionOf, TTL_MS } from './support/handlers.js';

const storeDown = async () => {
  throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'not_done' });
};

test('G2: nothing is published, and the receipt counts what was discarded', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 3);
  expect(await on.rollbackSession({ sessionId, reason: 'changed my mind' })).toEqual({
    sessionId,
    status: 'rolled_back',
    discarded: 3,
    deferred: false,
  });
  expect(await on.getSessionStatus({ sessionId })).toMatchObject({
    status: 'rolled_back',
    events: 3,
    published: 0,
    expiresAt: on.clock.now + RETENTION_MS,
    history: [
      { status: 'open' },
      { status: 'rolled_back', instance: 'instance-1', reason: 'changed my mind', at: on.clock.now },
    ],
  });
  expect(on.published()).toEqual([]);
  expect(on.told.at(-1)).toMatchObject({
    type: 'session.rolled_back',
    sessionId,
    discarded: 3,
    deferred: false,
    reason: 'changed my mind',
  });
  expect(on.metrics().sessions.rolledBack).toBe(1);
});

test('repeated it gives the same receipt, and counts and tells nothing new', async () => {
  const on = handlers();
  const sessionId = await sessionOf(on, 2);
  const first = await on.rollbackSession({ sessionId, reason: 'first' });
  expect(await on.rollbackSession({ sessionId, reason: 'second' })).toEqual(first);
  expect(await on.rollbackSession({ sessionId })).toEqual(first);
  expect((await on.getSessionStatus({ sessionId })).history.map(({ reason }) => reason)).toEqual([
    undefined,
    'first',
  ]);
  expect(on.toldTypes().filter((type) => type === 'session.rolled_back')).toHaveLength(1);
  expect(on.metrics().sessions.rolledBack).toBe(1);
});

test('an empty session can be rolled back', async () => {
  const on = handlers();
  expect(await on.rollbackSession({ sessionId: await sessionOf(on) })).toMatchObject({ discarded: 0 });
});

test.each(['committed', 'committing', 'expired'] as const)(
  'a session that is %s cannot be rolled back',
  async (status) => {
    const on = handlers();
    const sessionId = await sessionOf(on, 1);
    if (status === 'committed') await on.commitSession({ sessionId });
    if (status === 'expired') on.clock.now += TTL_MS;
    if (status === 'committing') {
      const attempt = { attemptId: 'a', leaseMs: 1_000, cause: { instance: 'instance-2' } };
      await on.memory.beginCommit(sessionId, attempt);
    }
    const error = await refusalOf(() => on.rollbackSession({ sessionId }));
    expect(error).toMatchObject({ code: 'SESSION_NOT_OPEN', sessionId, status });
    expect(error.message).toContain(status);
    expect((await on.getSessionStatus({ sessionId })).status).toBe(status);
  },
);

test('G5: of commits and rollbacks at once exactly one outcome wins', async () => {
  for (let round = 0; round < 20; round += 1) {
    const on = handlers();
    const sessionId = await sessionOf(on, 3);
    const calls = Array.from({ length: 6 }, (_, i) =>
      (i + round) % 2 === 0 ? on.commitSession({ sessionId }) : on.rollbackSession({ sessionId }),
    );
    const results = await Promise.allSettled(calls);
    const { status } = await on.getSessionStatus({ sessionId });
    for (const result of results) {
      if (result.status === 'fulfilled') expect(result.value.status).toBe(status);
      else expect(['SESSION_NOT_OPEN', 'COMMIT_IN_PROGRESS']).toContain(result.reason.code);
    }
    expect(on.published()).toEqual(status === 'committed' ? [1, 2, 3] : []);
  }
});

test('an unknown session is not found, nor one whose retention is over', async () => {
  const on = handlers();
  expect((await refusalOf(() => on.rollbackSession({ sessionId: 's-9' }))).code).toBe('SESSION_NOT_FOUND');
  const sessionId = await sessionOf(on);
  await on.rollbackSession({ sessionId });
  on.clock.now += RETENTION_MS;
  expect((await refusalOf(() => on.rollbackSession({ sessionId }))).code).toBe('SESSION_NOT_FOUND');
});

test.each<[unknown, string]>([
  [{ sessionId: '' }, 'sessionId'],
  [{ sessionId: 's-1', reason: '' }, 'reason'],
  [{ sessionId: 's-1', reason: 'a\nb' }, 'reason'],
  [{ sessionId: 's-1', reason: 'x'.repeat(1_001) }, 'reason'],
  [{ sessionId: 's-1', reason: 5 }, 'reason'],
  [{ sessionId: 's-1', force: true }, 'force'],
  [undefined, ''],
])('%j is refused, and the session stays open', async (input, path) => {
  const on = handlers();
  const sessionId = await sessionOf(on, 1);
  const error = await refusalOf(() => on.rollbackSession(input as never));
  expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
  expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
});

test('with the store down it is deferred, and repeating it is the same', async () => {
  const on = handlers({ store: () => ({ rollback: storeDown }) });
  const sessionId = await sessionOf(on, 1);
  const first = await on.rollbackSession({ sessionId, reason: 'no stock' });
  expect(first).toMatchObject({ sessionId, status: 'rolled_back', deferred: true });
  expect(await on.rollbackSession({ sessionId })).toEqual(first);
  expect(on.metrics().sessions.rolledBack).toBe(1);
});

test('without contingency an outage is an error, with a full log too, and the session stays open', async () => {
  const without = handlers({ store: () => ({ rollback: storeDown }), log: false });
  const full = handlers({ store: () => ({ rollback: storeDown }), log: memoryContingency({ maxBytes: 1 }) });
  for (const [on, code] of [
    [without, 'STORE_UNAVAILABLE'],
    [full, 'CONTINGENCY_FAILED'],
  ] as const) {
    const sessionId = await sessionOf(on, 1);
    expect((await refusalOf(() => on.rollbackSession({ sessionId }))).code).toBe(code);
    expect((await on.getSessionStatus({ sessionId })).status).toBe('open');
    expect(on.metrics().sessions.rolledBack).toBe(0);
  }
});

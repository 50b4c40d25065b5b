import { describe, expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { type Handlers, handlers, refusalOf, sessionOf, TTL_MS } from '../commands/support/handlers.js';

async function committing(on: Handlers, sessionId: string): Promise<void> {
  await sessionOf(on, 1, sessionId);
  await on.memory.beginCommit(sessionId, {
    attemptId: 'a',
    leaseMs: 1_000,
    cause: { instance: 'instance-2' },
  });
}

async function all(on: Handlers, filter: { status?: 'open' | 'committing'; limit?: number } = {}) {
  const ids: string[] = [];
  let pages = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await on.listSessions({ ...filter, cursor });
    pages += 1;
    ids.push(...page.sessions.map(({ sessionId }) => sessionId));
    cursor = page.cursor;
    if (cursor === undefined) return { ids: ids.sort(), pages };
  }
}

test('an entry has id, status, events and birth', async () => {
  const on = handlers();
  await sessionOf(on, 2, 's-1');
  expect(await on.listSessions()).toEqual({
    sessions: [{ sessionId: 's-1', status: 'open', events: 2, createdAt: on.clock.now }],
    cursor: undefined,
  });
});

test('nobody is listed when there is nobody', async () => {
  expect(await handlers().listSessions()).toEqual({ sessions: [], cursor: undefined });
});

describe('of sessions in every state', () => {
  async function setUp() {
    const on = handlers();
    await on.startSession({ sessionId: 'expired', ttl: 1 });
    on.clock.now += 1;
    await sessionOf(on, 0, 'open-1');
    await sessionOf(on, 1, 'open-2');
    await committing(on, 'committing-1');
    await on.commitSession({ sessionId: await sessionOf(on, 1, 'committed') });
    await on.rollbackSession({ sessionId: await sessionOf(on, 1, 'rolled-back') });
    return on;
  }

  test('those that are open or committing are listed, and no ended one', async () => {
    expect((await all(await setUp())).ids).toEqual(['committing-1', 'open-1', 'open-2']);
  });

  test('status keeps one kind', async () => {
    const on = await setUp();
    expect((await all(on, { status: 'open' })).ids).toEqual(['open-1', 'open-2']);
    expect((await all(on, { status: 'committing' })).ids).toEqual(['committing-1']);
  });

  test('one that runs out is listed no longer', async () => {
    const on = await setUp();
    on.clock.now += TTL_MS;
    expect((await all(on)).ids).toEqual(['committing-1']);
  });
});

test.each([1, 7, 25, 1_000])(
  'pages of %i list each session once, while others come and go',
  async (limit) => {
    const on = handlers();
    const stay = Array.from({ length: 25 }, (_, i) => `stay-${i}`);
    for (const sessionId of stay) await sessionOf(on, 0, sessionId);
    const first = await on.listSessions({ limit });
    expect(first.sessions.length).toBeLessThanOrEqual(limit);
    const ids = first.sessions.map(({ sessionId }) => sessionId);
    await sessionOf(on, 0, 'new');
    for (let cursor = first.cursor; cursor !== undefined; ) {
      const page = await on.listSessions({ limit, cursor });
      ids.push(...page.sessions.map(({ sessionId }) => sessionId));
      cursor = page.cursor;
    }
    expect(ids.filter((id) => id !== 'new').sort()).toEqual(stay.sort());
  },
);

test('a page has 100 unless told otherwise', async () => {
  const on = handlers();
  for (let i = 0; i < 101; i += 1) await on.startSession();
  const page = await on.listSessions();
  expect(page.sessions).toHaveLength(100);
  expect(page.cursor).toBeDefined();
});

test.each<[unknown, string]>([
  [{ status: 'committed' }, 'status'],
  [{ status: 5 }, 'status'],
  [{ cursor: 5 }, 'cursor'],
  [{ limit: 0 }, 'limit'],
  [{ limit: 1_001 }, 'limit'],
  [{ page: 1 }, 'page'],
  [null, ''],
  ['open', ''],
])('%j is refused', async (input, path) => {
  const error = await refusalOf(() => handlers().listSessions(input as never));
  expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path }] });
});

test('with the store down it is an error of ours', async () => {
  const on = handlers({
    store: () => ({
      list: async () => {
        throw new EventSessionsError('STORE_UNAVAILABLE', 'down', { outcome: 'unknown' });
      },
    }),
  });
  expect((await refusalOf(() => on.listSessions())).code).toBe('STORE_UNAVAILABLE');
});

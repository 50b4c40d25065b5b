import { memoryContingency } from 'event-sessions';
import { expect, test } from 'vitest';
import type { ContingencyLog } from '../../src/ports/contingency-log.js';
import { handlers, sessionOf } from '../commands/support/handlers.js';

test('what the store counts and what the log holds is in the snapshot, next to the counts of the instance', async () => {
  const log = memoryContingency();
  const on = handlers({ log });
  await sessionOf(on, 2, 's-1');
  await sessionOf(on, 3, 's-2');
  await on.commitSession({ sessionId: 's-1' });
  await on.rollbackSession({ sessionId: await sessionOf(on, 0, 's-3') });
  await log.append([{ kind: 'session.rollback_requested', sessionId: 's-9', at: 123 }]);
  const snapshot = await on.getMetrics();
  expect(snapshot.instanceId).toBe('instance-1');
  expect(snapshot.events).toMatchObject({
    added: 5,
    processed: 2,
    published: 2,
    successRate: 1,
    perMinute: 2,
  });
  expect(snapshot.sessions).toEqual({ active: 1, started: 3, committed: 1, rolledBack: 1, expired: 0 });
  expect(snapshot.contingency).toEqual({ records: 1, bytes: expect.any(Number), oldestAt: 123 });
});

test('without contingency there is no backlog', async () => {
  expect((await handlers({ log: false }).getMetrics()).contingency).toBeUndefined();
});

const failing: [string, () => never | Promise<never>][] = [
  ['rejects', () => Promise.reject(new Error('down'))],
  [
    'throws',
    () => {
      throw new Error('down');
    },
  ],
];

test.each(failing)('a store that %s leaves a gap, and never rejects', async (_, fail) => {
  const on = handlers({ store: () => ({ countActive: fail as () => Promise<never> }) });
  expect((await on.getMetrics()).sessions.active).toBeUndefined();
});

test.each(failing)('a log that %s leaves a gap, and never rejects', async (_, fail) => {
  const log: ContingencyLog = { ...memoryContingency(), backlog: fail as () => Promise<never> };
  expect((await handlers({ log }).getMetrics()).contingency).toBeUndefined();
});

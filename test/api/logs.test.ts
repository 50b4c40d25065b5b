import { memoryStore } from 'event-sessions';
import { expect, test } from 'vitest';
import type { LogContext, Logger } from '../../src/ports/logger.js';
import { newEvent } from '../../src/testing/store-sessions.js';
import { faultyStore } from '../support/faulty-store.js';
import { instance } from './instance.js';

interface Line {
  readonly level: keyof Logger;
  readonly message: string;
  readonly context: LogContext;
}

function collecting(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = [];
  const at =
    (level: keyof Logger) =>
    (message: string, context: LogContext = {}) => {
      lines.push({ level, message, context });
    };
  return { logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}

/** What is said of a part, and not of a session. */
const OF_A_PART = /^The (store|publisher) is (degraded|restored)$/;

test('logs tell of outages, take-overs and quarantine by session, epoch and counts; never data, metadata or reasons', async () => {
  const { logger, lines } = collecting();
  const store = faultyStore(memoryStore());
  const { sessions, broker, log } = instance({ logger, store });
  const metadata = { user: 'secret' };
  const add = { id: 'e-1', subject: 'secret', extensions: { note: 'secret' } };
  const of = (sessionId: string) =>
    lines.flatMap(({ level, message, context }) =>
      context.sessionId === sessionId ? [[level, message, context] as const] : [],
    );

  // The store is down: all is recorded, and recovered.
  store.fault = 'down';
  const deferred = await sessions.startSession({ sessionId: 'deferred', metadata });
  await deferred.add('order.placed', { card: 'secret' }, add);
  await deferred.commit();
  store.fault = 'up';
  await sessions.recover();
  expect(of('deferred')).toEqual([
    [
      'warn',
      'Recorded in the contingency log',
      expect.objectContaining({ kind: 'session.started', records: 1 }),
    ],
    [
      'debug',
      'Recorded in the contingency log',
      expect.objectContaining({ kind: 'event.added', records: 1 }),
    ],
    [
      'debug',
      'Recorded in the contingency log',
      expect.objectContaining({ kind: 'session.commit_requested' }),
    ],
    ['debug', 'Commit begun', expect.objectContaining({ commitEpoch: expect.any(Number), events: 1 })],
    ['info', 'Session committed', expect.objectContaining({ commitEpoch: expect.any(Number), published: 1 })],
    ['info', 'Contingency records recovered', expect.objectContaining({ records: 3, published: 1 })],
  ]);

  // The broker is down.
  broker.down = true;
  const owed = await sessions.startSession({ sessionId: 'owed', metadata });
  await owed.add('order.placed', { card: 'secret' }, add);
  await owed.commit();
  broker.down = false;
  expect(of('owed').slice(1)).toEqual([
    [
      'warn',
      'Recorded in the contingency log',
      expect.objectContaining({ kind: 'event.unpublished', records: 1 }),
    ],
    ['info', 'Session committed', expect.objectContaining({ commitEpoch: 1, published: 0, deferred: 1 })],
  ]);

  // The store begins a commit, but nobody hears of it.
  const lost = await sessions.startSession({ sessionId: 'lost', metadata });
  await lost.add('order.placed', { card: 'secret' }, add);
  store.decide = (method) => (method === 'beginCommit' ? 'cut after' : 'up');
  await lost.commit();
  store.decide = undefined;
  await sessions.recover();
  expect(of('lost').at(-1)?.[1]).toBe('Contingency records recovered');

  // A rollback, a refusal, a listener that fails, and a record that nobody can replay.
  const over = await sessions.startSession({ sessionId: 'over', metadata });
  await over.add('order.placed', { card: () => 'secret' }).catch(() => {});
  await over.add('secret\n', 1).catch(() => {});
  sessions.on('session.rolled_back', () => {
    throw new Error('broken');
  });
  await over.rollback({ reason: 'secret' });
  const { topic, json } = newEvent('unknown', { data: 'secret' });
  await log.append([{ kind: 'event.added', sessionId: 'unknown', at: 0, topic, event: json }]);
  await sessions.recover();
  expect(of('over')).toEqual([
    ['error', 'A listener of a domain event failed', expect.objectContaining({ cause: 'broken' })],
    ['info', 'Session rolled back', expect.objectContaining({ discarded: 0, deferred: false })],
  ]);
  expect(of('unknown')).toEqual([
    [
      'error',
      'A contingency record was quarantined',
      expect.objectContaining({ reason: expect.any(String) }),
    ],
    ['info', 'Contingency records recovered', expect.objectContaining({ records: 1 })],
  ]);

  for (const { message, context } of lines)
    if (!OF_A_PART.test(message)) expect(context, message).toHaveProperty('sessionId', expect.any(String));
  expect(JSON.stringify(lines)).not.toContain('secret');
});

test('an outage warns once of each session, however much of it is recorded', async () => {
  const { logger, lines } = collecting();
  const { sessions, store } = instance({ logger });
  const session = await sessions.startSession();
  const recorded = () =>
    lines.flatMap(({ level, message }) => (message === 'Recorded in the contingency log' ? [level] : []));

  store.fault = 'down';
  for (let i = 0; i < 100; i += 1) await session.add('order.placed', i);
  expect(recorded().filter((level) => level === 'warn')).toHaveLength(1);
  expect(recorded()).toHaveLength(100);
  expect((await sessions.metrics()).failures.STORE_UNAVAILABLE).toBe(100);

  store.fault = 'up';
  await sessions.recover();
  store.fault = 'down';
  await session.commit();
  expect(recorded().filter((level) => level === 'warn')).toHaveLength(2);
});

test('a commit that loses its lease says so, with its epoch', async () => {
  const { logger, lines } = collecting();
  const memory = memoryStore();
  let isTaken = false;
  const { sessions } = instance({
    logger,
    store: {
      ...memory,
      async advance(sessionId, progress) {
        if (isTaken) return memory.advance(sessionId, progress);
        isTaken = true;
        return { outcome: 'stale' };
      },
    },
    commit: { leaseMs: 200, retries: 0 },
  });
  const session = await sessions.startSession();
  await session.add('order.placed', 1);
  await session.commit().catch(() => {});
  expect(lines).toContainEqual({
    level: 'warn',
    message: 'A commit lost its lease',
    context: { sessionId: session.id, commitEpoch: 1 },
  });
});

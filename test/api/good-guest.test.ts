import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DomainEventType, Logger } from 'event-sessions';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeWithAll } from '../support/services.js';
import { instance } from './instance.js';

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', onUnhandled);
});
afterEach(() => {
  process.off('unhandledRejection', onUnhandled);
});

/** Rejections count as unhandled when the microtasks are done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const TYPES: DomainEventType[] = [
  'session.started',
  'event.added',
  'session.committing',
  'batch.published',
  'session.committed',
  'session.rolled_back',
  'session.expired',
  'contingency.recorded',
  'contingency.recovered',
  'contingency.quarantined',
  'store.degraded',
  'store.restored',
  'publisher.degraded',
  'publisher.restored',
  'metrics.snapshot',
];

const boom = new Error('boom');
const bad: Record<string, () => unknown> = {
  throws() {
    throw boom;
  },
  rejects: () => Promise.reject(boom),
  'throws nothing at all'() {
    throw undefined;
  },
  'answers a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: it is what a promise of another library may be
    then() {
      throw boom;
    },
  }),
};

describe.each(Object.entries(bad))('G8: a listener that %s', (_, listener) => {
  test('harms nobody, at any event', async () => {
    const { sessions, store, broker, publisher } = instance({ metrics: { intervalMs: 1 } });
    const heard = new Set<string>();
    for (const type of TYPES) {
      sessions.on(type, listener);
      sessions.once(type, listener);
      sessions.on(type, () => heard.add(type));
    }
    const session = await sessions.startSession();
    await session.add('a', 1);
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 1 });
    const other = await sessions.startSession();
    expect(await other.rollback()).toMatchObject({ status: 'rolled_back' });
    store.fault = 'down';
    broker.down = true;
    const third = await sessions.startSession();
    expect(await third.add('a', 3)).toMatchObject({ deferred: true });
    store.fault = 'up';
    expect(await third.commit()).toMatchObject({ status: 'committed', deferred: 1 });
    broker.down = false;
    expect(await sessions.recover()).toMatchObject({ published: 1, remaining: 0 });
    expect(publisher.published.map(({ event }) => event.data)).toEqual([1, 3]);
    await settled();
    expect(unhandled).toEqual([]);
    for (const type of ['session.committed', 'contingency.recorded', 'store.restored', 'publisher.restored'])
      expect([...heard]).toContain(type);
  });
});

describe.each(Object.entries(bad))('G8: a logger that %s', (_, log) => {
  test('harms nobody, whatever there is to be told', async () => {
    const logger = { debug: log, info: log, warn: log, error: log } as unknown as Logger;
    const { sessions, store, broker } = instance({ logger });
    sessions.on('session.started', () => {
      throw boom;
    });
    store.fault = 'down';
    const session = await sessions.startSession();
    await session.add('a', 1);
    store.fault = 'up';
    broker.down = true;
    expect(await session.commit()).toMatchObject({ status: 'committed', deferred: 1 });
    broker.down = false;
    expect(await sessions.recover()).toMatchObject({ published: 1 });
    await sessions.close();
    await settled();
    expect(unhandled).toEqual([]);
  });
});

test('G8: a commit that is aborted with a reason that cannot be looked at leaves nothing unhandled, and closing ends', async () => {
  const { sessions } = instance();
  const session = await sessions.startSession();
  const reason = Object.defineProperty(new Error(), 'name', {
    get() {
      throw boom;
    },
  });
  await expect(session.commit({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  await sessions.close();
  await settled();
  expect(unhandled).toEqual([]);
});

test('G8: nobody needs to wait for what a call answers when it fails', async () => {
  const { sessions, store } = instance({ contingency: false });
  store.fault = 'down';
  const ignored = [
    sessions.startSession(),
    sessions.session('s-1').add('a', 1),
    sessions.session('s-1').commit(),
    sessions.recover(),
  ];
  const outcomes = await Promise.allSettled(ignored);
  expect(outcomes.map(({ status }) => status).slice(0, 3)).toEqual(['rejected', 'rejected', 'rejected']);
  await settled();
  // Each call is one promise: no second one rejects unseen behind it.
  expect(unhandled).toEqual([]);
});

function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return runScript(new URL('guest-process.ts', import.meta.url), ...args);
}

function runScript(
  script: URL,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const running = execFile(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(script), ...args],
      (_error, stdout, stderr) => resolve({ code: running.exitCode, stdout, stderr }),
    );
  });
}

test('a call that fails while nobody waits for it is told by Node', async () => {
  const { code, stdout, stderr } = await runScript(new URL('forgetful-process.ts', import.meta.url));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.trim().split('\n').sort()).toEqual([
    'add',
    'addEvents',
    'addMany',
    'commit',
    'events',
    'extend',
    'getSessionStatus',
    'rollback',
    'startSession',
    'status',
    'transaction',
  ]);
});

describe('G8: a process ends by itself while an instance is open in it', () => {
  test('in memory', async () => {
    expect(await run()).toEqual({ code: 0, stdout: 'committed\n', stderr: '' });
  });

  test('with a store and a broker that nobody listens at', async () => {
    const { code, stdout, stderr } = await run('redis://127.0.0.1:1', '127.0.0.1:1');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'committing\n' });
    expect(stderr).toContain('The store is degraded');
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('G8: a process ends by itself while an instance is open in it', async () => {
    expect(await run(redis.url, nsqd.tcp)).toEqual({ code: 0, stdout: 'committed\n', stderr: '' });
  });
});

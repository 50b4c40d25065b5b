import type { SessionStore } from 'event-sessions';
import { type RedisClient, redisStore } from 'event-sessions/redis';
import { describe, expect, test } from 'vitest';
import * as scripts from '../../../src/adapters/redis/scripts.js';
import { ATTEMPT, METHODS, RANGE, RECEIPT } from '../../support/store-calls.js';

type Method = keyof typeof METHODS;

/** Nothing of it is an answer to anything. */
const JUNK = [
  null,
  undefined,
  true,
  'OK',
  '',
  '-1',
  -1,
  1.5,
  2 ** 53,
  Number.NaN,
  '99999999999999999',
  {},
  Buffer.from('done'),
  [null],
  ['junk'],
  ['junk', 'junk'],
  [[['done']]],
  [new Error('ERR within an array')],
  Array(5).fill(['not_found']),
  Object.assign(Object.create(null), { length: 1, 0: 'done' }),
];

const FIELDS: (string | null)[] = ['1', '9', '0', '0', '0', '1', '2', null, null, '0', '{}', ''];
const spoiled = (field: (typeof scripts.RECORD_FIELDS)[number], value: unknown) => [
  'open',
  FIELDS.map((usual, i) => (scripts.RECORD_FIELDS[i] === field ? value : usual)),
];
const receiptWith = (change: object) => ['committed', JSON.stringify({ ...RECEIPT, ...change })];

/** Answers that begin well. */
const HALF: Partial<Record<Method, unknown[]>> = {
  start: [
    ['exists'],
    ['exists', 'gone', 'open'],
    ['exists', 1, 'open'],
    ['exists', 'open'],
    ['exists', 'open', 'gone'],
    [],
  ],
  append: [
    ['appended'],
    ['appended', '-1', ''],
    ['appended', 'two', ''],
    ['appended', '2', null],
    ['appended', '2', '0,'],
    ['appended', '2', '2'],
    ['limit_exceeded', 'time'],
    ['not_open', 'open'],
    ['not_open'],
    ['other'],
    [],
  ],
  extend: [['extended'], ['extended', 'soon'], ['not_open', 'open'], []],
  beginCommit: [
    ['granted', '1', '0', '0', '1'],
    ['granted', '1', '0', '0', '1', 'x'],
    ['granted', '1e3', '0', '0', '1', '1'],
    ['in_progress', null],
    ['committed', null],
    ['committed', '{'],
    ['committed', '[]'],
    receiptWith({ status: 'open' }),
    receiptWith({ events: '1' }),
    ['mismatch'],
    ['corrupt', '1'],
    [],
  ],
  advance: [['granted'], []],
  finishCommit: [['granted'], []],
  releaseCommit: [['granted'], []],
  rollback: [['rolled_back'], ['rolled_back', '1'], ['rolled_back', 'x', '0'], ['not_open', 'open'], []],
  expire: [['expired'], ['expired', null], ['not_open', 'committed'], []],
  get: [
    ['open'],
    ['open', null],
    ['open', []],
    ['open', FIELDS.slice(1)],
    ['gone', FIELDS],
    spoiled('events', null),
    spoiled('expiresAt', 'never'),
    spoiled('metadata', null),
    spoiled('metadata', '[1]'),
    spoiled('metadata', '{'),
    spoiled('history', 7),
    spoiled('history', 'x\n'),
    spoiled('history', '{"status":"open"}\n'),
    [],
  ],
  read: [
    ['0'],
    ['x', []],
    ['0', 'a {}'],
    ['0', ['topic']],
    ['0', ['1  {}']],
    ['0', ['x a {}']],
    ['0', ['1 a {}', null]],
  ],
  contains: [[], [1], [1, 0, 1], [1, 'x']],
  list: [['a'], ['a', 'soon'], ['a', '-1'], [null, '1'], ['a', '1', 'b', '2', 'c', '3']],
  due: [[], ['1'], ['now', []], ['1', null], ['1', ['a']], ['1', ['a', 'inf']]],
};

function client(answer: (sha: string) => unknown): RedisClient {
  return { evalsha: async (sha) => answer(sha), eval: async () => null };
}

/** Whose index works, and whose sessions answer that. */
function clientWith(reply: unknown): RedisClient {
  return client((sha) => (sha === scripts.INDEX_PUT.sha ? '' : reply));
}

function storeWith(reply: unknown): SessionStore {
  return redisStore({ client: clientWith(reply) });
}

const FAULT = {
  name: 'EventSessionsError',
  code: 'STORE_UNAVAILABLE',
  outcome: 'unknown',
  message: expect.stringMatching(/^Redis: expected .+, got .+/),
};

describe('a reply of a wrong shape is a fault of the store, and what it has done is unknown', () => {
  describe.each(Object.entries(METHODS))('%s', (method, call) => {
    test.each([...JUNK, ...(HALF[method as Method] ?? [])].map((reply) => [reply]))('%j', async (reply) => {
      await expect(call(storeWith(reply))).rejects.toMatchObject(FAULT);
    });
  });

  test.each([[null], [['x']], ['x'], [-1]])('start, when the index answers %j', async (reply) => {
    await expect(METHODS.start(redisStore({ client: client(() => reply) }))).rejects.toMatchObject(FAULT);
  });

  test.each([
    [null],
    ['1 a {}'],
    [[7]],
    [[Buffer.from('topic')]],
    [[Buffer.from('1 topic')]],
    [[Buffer.from('1  {}')]],
    [[Buffer.from(' a {}')]],
    [[Buffer.from('12345678901 a {}')]],
    [[Buffer.from('1 a {}\n')]],
    [[Buffer.from('1 a {}\n\na {}')]],
  ])('read by bytes: %j', async (reply) => {
    const granted = ['granted', '1', '0', '0', '2', '2', '9'];
    const store = redisStore({
      client: { ...clientWith(granted), lrangeBuffer: async () => reply as Buffer[] },
    });
    await store.beginCommit('s-1', ATTEMPT);
    await expect(store.read('s-1', RANGE)).rejects.toMatchObject(FAULT);
  });

  test.each([[['a', '5']], [['a', '4']]])('list, when every page is %j', async (reply) => {
    await expect(storeWith(reply).list({ cursor: '5:b', limit: 1 })).rejects.toMatchObject(FAULT);
  });

  test('it says what was expected, and shows what came on one line', async () => {
    await expect(METHODS.append(storeWith(['appended', 'a\nb', '']))).rejects.toThrow(
      'Redis: expected the events of the session, a whole number, got "a\\nb"',
    );
    await expect(METHODS.releaseCommit(storeWith(['x'.repeat(1_000)]))).rejects.toThrow(
      /^Redis: expected an outcome of a step of a commit \(done, stale, not_found\), got "x{60}…"$/,
    );
  });

  test.each<[string, () => unknown]>([
    [
      'throws at once',
      () => {
        throw new TypeError('not now');
      },
    ],
    ['throws what is no error', () => Promise.reject(null)],
    ['answers at once', () => ['junk']],
    ['answers nothing', () => {}],
  ])('a client that %s', async (_, evalsha) => {
    const fault = { code: 'STORE_UNAVAILABLE', outcome: 'unknown' };
    const store = redisStore({ client: { evalsha, eval: evalsha } as unknown as RedisClient });
    await expect(METHODS.rollback(store)).rejects.toMatchObject(fault);
    await expect(METHODS.append(store)).rejects.toMatchObject(fault);
  });

  test('each of several adds that went as one gets the fault', async () => {
    const store = storeWith(['appended', '0']);
    const adds = await Promise.allSettled([METHODS.append(store), METHODS.append(store)]);
    for (const add of adds) expect(add).toMatchObject({ status: 'rejected', reason: FAULT });
  });
});

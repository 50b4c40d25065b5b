import { isEventSessionsError, memoryStore, type Session } from 'event-sessions';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { instance } from './instance.js';

const cycle: Record<string, unknown> = {};
cycle.self = cycle;
let deep: unknown = 1;
for (let level = 0; level < 100_000; level += 1) deep = [deep];

const add =
  (data: unknown, options: object = {}, type: unknown = 'a') =>
  (session: Session) =>
    session.add(type as string, data, options);

/** Everything that an application may get wrong on an open session. */
const WRONG: [string, (session: Session) => Promise<unknown>, string][] = [
  ['an event id with a space', add(1, { id: 'a b' }), 'INVALID_INPUT'],
  ['an event id of 129 characters', add(1, { id: 'x'.repeat(129) }), 'INVALID_INPUT'],
  ['an empty event id', add(1, { id: '' }), 'INVALID_INPUT'],
  ['a topic with a newline', add(1, { topic: 'orders\nPUB other' }), 'INVALID_TOPIC'],
  ['a topic with a space', add(1, { topic: 'orders other' }), 'INVALID_TOPIC'],
  ['a topic of 65 characters', add(1, { topic: 'x'.repeat(65) }), 'INVALID_TOPIC'],
  ['a type that is no text', add(1, { topic: 't' }, 5), 'INVALID_INPUT'],
  ['an option that there is not', add(1, { topics: 't' }), 'INVALID_INPUT'],
  ['data with a cycle', add(cycle), 'INVALID_EVENT'],
  ['data with a BigInt', add({ total: 1n }), 'INVALID_EVENT'],
  ['data with NaN', add({ total: Number.NaN }), 'INVALID_EVENT'],
  ['data of 100,000 levels', add(deep), 'INVALID_EVENT'],
  ['data of 2 MiB', add('x'.repeat(2 * 1_048_576)), 'EVENT_TOO_LARGE'],
  ['data with a key __proto__', add(JSON.parse('{"__proto__":{"admin":true}}')), 'INVALID_EVENT'],
  ['no data', add(undefined), 'INVALID_EVENT'],
  ['no events', (session) => session.addMany([]), 'INVALID_INPUT'],
  ['events that are no array', (session) => session.addMany({} as never), 'INVALID_INPUT'],
  [
    'one wrong event among others',
    (session) =>
      session.addMany([
        { type: 'a', data: 1 },
        { type: 'a', data: Number.NaN },
      ]),
    'INVALID_EVENT',
  ],
  ['a wrong count of events', (session) => session.commit({ expectedEvents: 7 }), 'EXPECTED_EVENTS_MISMATCH'],
  ['a count that is text', (session) => session.commit({ expectedEvents: '1' as never }), 'INVALID_INPUT'],
  ['a signal that is none', (session) => session.commit({ signal: {} as never }), 'INVALID_INPUT'],
  ['a reason with a newline', (session) => session.rollback({ reason: 'a\nb' }), 'INVALID_INPUT'],
  ['a ttl of 0', (session) => session.extend({ ttl: 0 }), 'INVALID_INPUT'],
  ['a page of 1,001 events', (session) => session.events({ limit: 1_001 }), 'INVALID_INPUT'],
  ...[5, true, 'text', null].flatMap((options): typeof WRONG => [
    [`options of add that are ${options}`, add(1, options as never), 'INVALID_INPUT'],
    [`options of commit that are ${options}`, (session) => session.commit(options as never), 'INVALID_INPUT'],
    [`options of extend that are ${options}`, (session) => session.extend(options as never), 'INVALID_INPUT'],
  ]),
];

describe('is refused by code before anything has changed', () => {
  test.each(WRONG)('%s', async (_, act, code) => {
    const { sessions, store, publisher, log } = instance();
    const session = await sessions.startSession();
    await session.add('a', 1);
    const before = await store.get(session.id);
    await expect(act(session)).rejects.toMatchObject({ name: 'EventSessionsError', code });
    expect(await store.get(session.id)).toEqual(before);
    expect(publisher.published).toEqual([]);
    expect(log.records).toEqual([]);
  });
});

/** What a message says, and what a caller of the method need not know. */
const SAID: [string, (session: Session) => Promise<unknown>, string][] = [
  [
    'no events',
    (session) => session.addMany([]),
    'The events to add: events: expected an array of 1 to 10000',
  ],
  ['a count', (session) => session.commit({ expectedEvents: -1 }), 'The options of commit: expectedEvents: '],
  ['a reason', (session) => session.rollback({ reason: '' }), 'The options of rollback: reason: '],
  ['a ttl', (session) => session.extend({ ttl: 0 }), 'The options of extend: ttl: '],
  ['a range', (session) => session.events({ after: -1 }), 'The range of events: after: '],
  [
    'options',
    (session) => session.rollback('why' as never),
    'The options of rollback: expected an object, got "why"',
  ],
  ['one event', (session) => session.commit({ expectedEvents: 2 }), 'has 1 event, not the expected 2;'],
];

test.each(SAID)('a message speaks of what was called: %s', async (_, act, said) => {
  const { sessions } = instance();
  const session = await sessions.startSession();
  await session.add('a', 1);
  await expect(act(session)).rejects.toThrow(said);
});

const hostile = `\n\u001b[31m\u009b31m\u2028\u202e\ud800${'y'.repeat(100_000)}`;
const hundreds = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}${hostile}`, Number.NaN]));
const taggedBy = (tag: string) => Object.create({ [Symbol.toStringTag]: tag });

const HOSTILE: [string, (session: Session) => unknown][] = [
  ['names of options', add(1, hundreds)],
  ['names of extensions', add(1, { extensions: hundreds })],
  ['the value of an option', add(1, { subject: hostile })],
  ['a type', add(1, {}, hostile)],
  ['a topic', add(1, { topic: hostile })],
  ['names in the data', add({ a: hundreds })],
  ['the kind of the data', add(taggedBy(hostile))],
  ['names of options of commit', (session) => session.commit(hundreds)],
  ['the type of a listener', () => instance().sessions.on(hostile as never, () => {})],
  ['names in the metadata', () => instance().sessions.startSession({ metadata: hundreds })],
  ['names of settings', () => instance(hundreds)],
  ['names of limits', () => instance({ limits: hundreds })],
  ['names of event types', () => instance({ events: hundreds as never })],
  [
    'names in the data of a schema',
    () => {
      const { sessions } = instance({
        events: { a: z.record(z.string(), z.number()) },
      });
      return sessions.startSession().then((session) => session.add('a', { ...hundreds }));
    },
  ],
  [
    'what a schema says',
    () => {
      const { sessions } = instance({ events: { a: z.strictObject({}) } });
      return sessions.startSession().then((session) => session.add('a', { ...hundreds }));
    },
  ],
  [
    'a type that the catalogue has not',
    () => {
      const { sessions } = instance({ events: { a: z.any() } });
      return sessions.startSession().then((session) => session.add('\u2028\u202e' as 'a', 1));
    },
  ],
];

test.each(HOSTILE)('a message is short and on one line, whatever is in it: %s', async (_, act) => {
  const session = await instance().sessions.startSession();
  const error = await (async () => act(session))().catch((thrown: unknown) => thrown);
  if (!isEventSessionsError(error)) throw new Error('it was let through', { cause: error });
  const { message, issues = [] } = error;
  const texts = [message, ...issues.flatMap((issue) => [issue.path, issue.message])];
  for (const text of texts) {
    expect(text).toMatch(/^[^\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]*$/u);
    expect(text.length).toBeLessThan(100_000);
  }
});

test.each(['', 'a b', 'x'.repeat(129), '{a}', 'a:b', 'ä', 5, null, undefined])(
  'no session can have the id %j',
  async (id) => {
    const { sessions, store } = instance();
    expect(() => sessions.session(id as string)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    if (id !== undefined) {
      await expect(sessions.startSession({ sessionId: id as string })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        issues: [{ path: 'sessionId' }],
      });
    }
    expect(await store.countActive()).toBe(0);
  },
);

describe('on a session that is not open', () => {
  const acts: [string, (session: Session) => Promise<unknown>][] = [
    ['add', add(1)],
    ['commit', (session) => session.commit()],
    ['rollback', (session) => session.rollback()],
    ['extend', (session) => session.extend()],
  ];

  test.each(acts)('%s is SESSION_NOT_FOUND when it was never started', async (_, act) => {
    const { sessions, log } = instance();
    const refused = act(sessions.session('never-started'));
    await expect(refused).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND', sessionId: 'never-started' });
    expect(log.records).toEqual([]);
  });

  test.each(acts)('%s is SESSION_NOT_OPEN when it has expired', async (_, act) => {
    const clock = { now: Date.now() };
    const { sessions, publisher } = instance({ store: memoryStore({ now: () => clock.now }) });
    const session = await sessions.startSession({ ttl: 1_000 });
    await session.add('a', 1);
    clock.now += 1_000;
    await expect(act(session)).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'expired' });
    expect(publisher.published).toEqual([]);
  });

  test.each(acts.filter(([name]) => name !== 'commit'))(
    '%s is SESSION_NOT_OPEN when it has been committed',
    async (_, act) => {
      const { sessions, publisher } = instance();
      const session = await sessions.startSession();
      await session.add('a', 1);
      await session.commit();
      await expect(act(session)).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'committed' });
      expect(publisher.published).toHaveLength(1);
    },
  );
});

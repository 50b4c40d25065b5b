import {
  createEventSessions,
  type EventSessions,
  isEventSessionsError,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type Session,
} from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { expect, it } from 'vitest';
import * as z from 'zod';
import { type Chance, fuzz } from './support/fuzz.js';
import {
  anything,
  id,
  type Make,
  mostly,
  oneOf,
  several,
  steady,
  text,
  treacherous,
  usually,
} from './support/hostile.js';

type Outcome<T> = { readonly value: T } | { readonly refused: string };

/** What came of a call that may do two things only: work, or say why not in the library's own words. */
async function outcomeOf<T>(call: () => T): Promise<Outcome<Awaited<T>>> {
  try {
    return { value: await call() };
  } catch (error) {
    if (isEventSessionsError(error)) return { refused: error.code };
    throw new Error('it threw what is not an EventSessionsError', { cause: error });
  }
}

const quiet = { recovery: false, logger: false } as const;
const small: Make<number> = (chance) => chance.below(6);
const event = mostly({
  type: oneOf('a', 'order.placed'),
  data: steady,
  id,
  topic: oneOf('a', 'b#ephemeral'),
  subject: text,
  time: oneOf(new Date(0), new Date(8.64e15), '2026-01-01T00:00:00Z', '2026-13-01T00:00:00Z'),
  extensions: (chance) =>
    Object.fromEntries(chance.some(3, () => [chance.pick(['a', 'trace', 'id', 'X']), text(chance)])),
});
const events = usually(several(4, event));
const range = { after: small, limit: oneOf(1, 10) };
const listener = usually(
  oneOf(
    () => {},
    async () => {},
  ),
);

type On<T> = (target: T, input: never, chance: Chance) => unknown;
const onSessions: Readonly<Record<string, readonly [Make, On<EventSessions>]>> = {
  startSession: [
    mostly({ sessionId: id, metadata: steady, ttl: oneOf(1, 60_000) }),
    (s, input) => s.startSession(input),
  ],
  session: [usually(id), (s, input) => s.session(input)],
  addEvents: [mostly({ sessionId: id, events }), (s, input) => s.commands.addEvents(input)],
  commitSession: [
    mostly({ sessionId: id, expectedEvents: small }),
    (s, input) => s.commands.commitSession(input),
  ],
  rollbackSession: [mostly({ sessionId: id, reason: text }), (s, input) => s.commands.rollbackSession(input)],
  extendSession: [mostly({ sessionId: id, ttl: small }), (s, input) => s.commands.extendSession(input)],
  getSessionStatus: [mostly({ sessionId: id }), (s, input) => s.queries.getSessionStatus(input)],
  getSessionEvents: [mostly({ sessionId: id, ...range }), (s, input) => s.queries.getSessionEvents(input)],
  listSessions: [
    mostly({ status: oneOf('open', 'committing'), cursor: text, limit: small }),
    (s, input) => s.queries.listSessions(input),
  ],
  recover: [mostly({ onProgress: oneOf(() => {}) }), (s, input) => s.recover(input)],
  transaction: [
    usually(oneOf(() => 1)),
    (s, work, chance) => s.transaction(work, mostly({ sessionId: id })(chance) as never),
  ],
  on: [listener, (s, listen, chance) => s.on(usually(oneOf('event.added'))(chance) as 'event.added', listen)],
  once: [
    listener,
    (s, listen, chance) => s.once(usually(oneOf('event.added'))(chance) as 'event.added', listen),
  ],
  off: [
    listener,
    (s, listen, chance) => s.off(usually(oneOf('event.added'))(chance) as 'event.added', listen),
  ],
};
const onSession: Readonly<Record<string, readonly [Make, On<Session>]>> = {
  add: [
    event,
    (session, options, chance) =>
      session.add(usually(oneOf('a'))(chance) as string, anything(chance), options),
  ],
  addMany: [events, (session, input) => session.addMany(input)],
  commit: [mostly({ expectedEvents: small }), (session, input) => session.commit(input)],
  rollback: [mostly({ reason: text }), (session, input) => session.rollback(input)],
  events: [mostly(range), (session, input) => session.events(input)],
  extend: [mostly({ ttl: small }), (session, input) => session.extend(input)],
};

it('any input of any command or query: it works or is refused in the words of the library', async () => {
  await fuzz('commands and queries', 7, async (chance) => {
    const sessions = createEventSessions(quiet);
    await sessions.startSession({ sessionId: 's-1' });
    for (let calls = 1 + chance.below(12); calls > 0; calls -= 1) {
      const name = chance.pick([...Object.keys(onSessions), ...Object.keys(onSession)]);
      try {
        const [make, act] = onSessions[name] ?? [];
        if (make !== undefined && act !== undefined) {
          await outcomeOf(() => act(sessions, make(chance) as never, chance));
        } else {
          const [input, on] = onSession[name] as (typeof onSession)[string];
          const session = sessions.session(chance.pick(['s-1', 's-2']));
          await outcomeOf(() => on(session, input(chance) as never, chance));
        }
      } catch (error) {
        throw new Error(name, { cause: error });
      }
    }
    // Whatever it was told, it still does its work, and what it has taken can be read by everybody.
    for (const { sessionId } of (await sessions.queries.listSessions()).sessions) {
      await sessions.session(sessionId).events();
    }
    const { result } = await sessions.transaction((session) => session.add('a', 1));
    expect(result.duplicate).toBe(false);
    await sessions.close();
  });
});

it('any payload: it is refused, or comes out as JSON would have it', async () => {
  const schemas = { any: z.unknown(), strict: z.object({ a: z.number() }) };
  await fuzz('payloads', 4, async (chance) => {
    const publisher = memoryPublisher();
    const sessions = createEventSessions({ ...quiet, publisher, events: schemas });
    const session = await sessions.startSession();
    const type = chance.pick(['any', 'any', 'strict'] as const);
    const data =
      type === 'strict' && chance.happens(0.5) ? { a: chance.below(9), b: steady(chance) } : steady(chance);
    const outcome = await outcomeOf(() => session.add(type as 'any', data, { id: 'e-1' }));
    if ('refused' in outcome) {
      expect((await session.status()).events).toBe(0);
    } else {
      await session.commit();
      const [published] = publisher.published;
      const expected = type === 'any' ? data : { a: (data as { a: number }).a };
      expect(published?.event).toMatchObject({ id: 'e-1', type, sequence: '0000000001' });
      expect(published?.event.data).toEqual(JSON.parse(JSON.stringify(expected)));
    }
    await sessions.close();
  });
});

it('a payload that changes or throws while it is read: it is refused, or what was taken is JSON', async () => {
  await fuzz('treacherous payloads', 3, async (chance) => {
    const publisher = memoryPublisher();
    const sessions = createEventSessions({ ...quiet, publisher });
    const session = await sessions.startSession();
    const outcome = await outcomeOf(() => session.add('a', { x: treacherous(chance) }));
    await session.add('a', 'behind it');
    expect(await session.commit()).toMatchObject({ status: 'committed' });
    expect(publisher.published).toHaveLength('refused' in outcome ? 1 : 2);
    await sessions.close();
  });
});

it('a schema, topic rule or listener that does anything: the add works or is refused', async () => {
  await fuzz('schemas and rules', 1, async (chance) => {
    const act = () => (chance.happens(0.5) ? anything(chance) : treacherous(chance));
    const hostile = () => {
      if (chance.happens(0.3)) throw act();
      // In an array: a promise must not take over a thenable that never settles, for which nobody could answer.
      return chance.happens(0.3) ? Promise.resolve([act()]) : act();
    };
    const schema = { '~standard': { version: 1, vendor: 'fuzz', validate: hostile } } as never;
    const sessions = createEventSessions({
      ...quiet,
      events: { a: schema },
      ...(chance.happens(0.5) && { topic: hostile as never }),
    });
    sessions.on('event.added', hostile);
    const session = await sessions.startSession();
    await outcomeOf(() => session.add('a', 1 as never));
    await session.commit();
    await sessions.close();
  });
});

const factories: Readonly<Record<string, readonly [(options: never) => unknown, Make]>> = {
  createEventSessions: [
    createEventSessions,
    mostly({
      source: text,
      store: usually(() => memoryStore()),
      publisher: usually(() => memoryPublisher()),
      contingency: usually(() => memoryContingency()),
      events: (chance) => Object.fromEntries(chance.some(2, () => [text(chance), anything(chance)])),
      topic: usually(oneOf(() => 'a')),
      ttl: small,
      retention: small,
      limits: mostly({
        maxEventBytes: small,
        maxSessionEvents: small,
        maxSessionBytes: small,
        maxDepth: small,
      }),
      commit: mostly({
        batchEvents: small,
        batchBytes: small,
        inFlight: small,
        leaseMs: oneOf(30),
        retries: small,
      }),
      recovery: usually(oneOf(false)),
      metrics: mostly({ intervalMs: oneOf(1_000) }),
      logger: usually(oneOf(false, console)),
      instrumentation: usually(oneOf({ observe() {} })),
      instanceId: text,
    }),
  ],
  memoryStore: [memoryStore, mostly({ now: oneOf(() => 1) })],
  memoryPublisher: [memoryPublisher, mostly({ onPublish: oneOf(() => {}), maxEventBytes: small })],
  memoryContingency: [memoryContingency, mostly({ maxBytes: small })],
  fileContingency: [
    fileContingency,
    mostly({
      path: text,
      maxBytes: small,
      mode: small,
      fsync: oneOf('always', 'interval', 'never'),
      fsyncIntervalMs: small,
    }),
  ],
  nsqPublisher: [
    nsqPublisher,
    mostly({
      nsqd: (chance) =>
        chance.pick<unknown>(['127.0.0.1:4150', '[::1]:1', [], ['a:1', text(chance)], text(chance)]),
      codec: anything,
      deadlineMs: small,
      connectTimeoutMs: small,
      maxMessageBytes: small,
      maxRequestBytes: small,
      maxRequestMessages: small,
      maxInFlightBytes: small,
      reconnect: mostly({ minMs: small, maxMs: small }),
    }),
  ],
  redisStore: [
    redisStore,
    (chance) =>
      mostly({
        ...(chance.happens(0.8)
          ? {
              url: (c) =>
                `redis${c.pick(['', 's'])}://${c.pick([text(c), '127.0.0.1:1/1', '%zz:%zz@h', '[', 'h:99999'])}`,
            }
          : { client: anything }),
        prefix: oneOf('p'),
        deadlineMs: small,
      })(chance),
  ],
};

it.each(Object.keys(factories))('any options of %s: it makes one, or INVALID_INPUT', async (name) => {
  const [make, options] = factories[name] as (typeof factories)[string];
  await fuzz(`options of ${name}`, 1, async (chance) => {
    const outcome = await outcomeOf(() => make(options(chance) as never));
    if ('refused' in outcome) {
      expect(outcome.refused).toBe('INVALID_INPUT');
      return;
    }
    await outcomeOf(() => (outcome.value as { close(): unknown }).close());
  });
});

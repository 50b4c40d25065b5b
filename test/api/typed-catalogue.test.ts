import { type } from 'arktype';
import {
  createEventSessions,
  type EventData,
  type EventOf,
  type EventSessions,
  type EventType,
  memoryPublisher,
  type Session,
} from 'event-sessions';
import { createHttpHandler } from 'event-sessions/http';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, test } from 'vitest';
import * as z from 'zod';
import * as mini from 'zod/mini';

// The same event in each library, with a default and a transform, so that input and output differ.
const catalogue = {
  zod: z.object({
    orderId: z.string(),
    total: z.number().default(0),
    at: z.iso.date().transform(Date.parse),
  }),
  mini: mini.object({ orderId: mini.string(), total: mini._default(mini.number(), 0) }),
  valibot: v.object({ orderId: v.string(), total: v.optional(v.number(), 0) }),
  arktype: type({ orderId: 'string', total: 'number = 0' }),
  topical: { schema: z.object({ to: z.email() }), topic: 'mails' },
};
type C = typeof catalogue;

/** Only compiled: what an application would write, right and wrong. */
async function compiled(sessions: EventSessions<C>, session: Session<C>): Promise<void> {
  await session.add('zod', { orderId: 'o-1', at: '2025-01-31' });
  await session.add('zod', { orderId: 'o-1', total: 1, at: '2025-01-31' }, { id: 'e-1', topic: 't' });
  await session.add('mini', { orderId: 'o-1' });
  await session.add('valibot', { orderId: 'o-1', total: 1 });
  await session.add('arktype', { orderId: 'o-1' });
  await session.add('topical', { to: 'a@example.com' });

  // @ts-expect-error zod: orderId is missing
  await session.add('zod', { at: '2025-01-31' });
  // @ts-expect-error zod: data is the input of the schema, not its output
  await session.add('zod', { orderId: 'o-1', at: 5 });
  // @ts-expect-error zod/mini: a wrong type
  await session.add('mini', { orderId: 5 });
  // @ts-expect-error valibot: a wrong type
  await session.add('valibot', { orderId: 'o-1', total: '1' });
  // @ts-expect-error arktype: a wrong type
  await session.add('arktype', { orderId: 'o-1', total: '1' });
  // @ts-expect-error with a topic: a wrong key
  await session.add('topical', { from: 'a@example.com' });
  // @ts-expect-error the data of another type
  await session.add('topical', { orderId: 'o-1' });
  // @ts-expect-error data is missing
  await session.add('mini');
  // @ts-expect-error a type that the catalogue does not have
  await session.add('zot', { orderId: 'o-1' });
  // @ts-expect-error an option that there is not
  await session.add('mini', { orderId: 'o-1' }, { topics: 't' });

  await session.addMany([
    { type: 'mini', data: { orderId: 'o-1' } },
    { type: 'topical', data: { to: 'a@example.com' }, id: 'e-1' },
  ]);
  // @ts-expect-error the data of another type
  await session.addMany([{ type: 'mini', data: { to: 'a@example.com' } }]);
  // @ts-expect-error a type that the catalogue does not have
  await session.addMany([{ type: 'zot', data: {} }]);

  await sessions.commands.addEvents({
    sessionId: 's-1',
    events: [
      { type: 'mini', data: { orderId: 'o-1' } },
      { type: 'topical', data: { to: 'a@example.com' }, id: 'e-1' },
    ],
  });
  // @ts-expect-error the data of another type
  await sessions.commands.addEvents({ sessionId: 's-1', events: [{ type: 'mini', data: { to: 'a@b.c' } }] });
  // @ts-expect-error a type that the catalogue does not have
  await sessions.commands.addEvents({ sessionId: 's-1', events: [{ type: 'zot', data: {} }] });
  createHttpHandler(sessions);

  const { result } = await sessions.transaction(async (inner) => {
    // @ts-expect-error a type that the catalogue does not have
    await inner.add('zot', {});
    return 5;
  });
  expectTypeOf(result).toEqualTypeOf<number>();
}

describe('a typed catalogue', () => {
  test('infers types and data of events', () => {
    expectTypeOf<EventType<C>>().toEqualTypeOf<'zod' | 'mini' | 'valibot' | 'arktype' | 'topical'>();
    type Simple = { orderId: string; total?: number | undefined };
    expectTypeOf<EventData<C, 'mini'>>().toEqualTypeOf<Simple>();
    expectTypeOf<EventData<C, 'valibot'>>().toEqualTypeOf<Simple>();
    expectTypeOf<EventData<C, 'arktype'>>().toEqualTypeOf<{ orderId: string; total?: number }>();
    expectTypeOf<EventData<C, 'topical'>>().toEqualTypeOf<{ to: string }>();
    expectTypeOf<Extract<EventOf<C>, { type: 'topical' }>['data']>().toEqualTypeOf<{ to: string }>();
    expectTypeOf(compiled).toBeFunction();
    const sessions = createEventSessions({ events: catalogue });
    expectTypeOf(sessions).toEqualTypeOf<EventSessions<C>>();
    return sessions.close();
  });

  test('validates at run time what the compiler cannot see, with any of the libraries', async () => {
    const publisher = memoryPublisher();
    await using sessions = createEventSessions({ events: catalogue, publisher });
    const session = await sessions.startSession();
    await session.add('zod', { orderId: 'o-1', at: '1970-01-02' });
    await session.add('mini', { orderId: 'o-2' });
    await session.add('valibot', { orderId: 'o-3' });
    await session.add('arktype', { orderId: 'o-4' });
    await session.add('topical', { to: 'a@example.com' });
    const untyped = session as unknown as Session;
    for (const name of ['zod', 'mini', 'valibot', 'arktype', 'topical']) {
      await expect(untyped.add(name, { orderId: 5 }), name).rejects.toMatchObject({
        code: 'INVALID_EVENT',
        eventType: name,
      });
    }
    await expect(untyped.add('zot', {})).rejects.toMatchObject({ code: 'UNKNOWN_EVENT_TYPE' });
    expect(await session.commit({ expectedEvents: 5 })).toMatchObject({ published: 5 });
    expect(publisher.published.map(({ topic, event }) => [topic, event.data])).toEqual([
      ['zod', { orderId: 'o-1', total: 0, at: 86_400_000 }],
      ['mini', { orderId: 'o-2', total: 0 }],
      ['valibot', { orderId: 'o-3', total: 0 }],
      ['arktype', { orderId: 'o-4', total: 0 }],
      ['mails', { to: 'a@example.com' }],
    ]);
  });
});

test('without a catalogue any type and any data pass', async () => {
  const sessions = createEventSessions();
  expectTypeOf(sessions).toEqualTypeOf<EventSessions>();
  const session = await sessions.startSession();
  expectTypeOf(session.add).parameter(0).toEqualTypeOf<string>();
  await session.add('anything', { at: 'all' });
  await session.addMany([{ type: 'else', data: null }]);
  expect(await session.commit()).toMatchObject({ published: 2 });
  await sessions.close();
});

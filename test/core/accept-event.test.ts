import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import {
  type AcceptEventConfig,
  createAcceptEvent,
  type EventInput,
  type TopicRule,
} from '../../src/core/accept-event.js';
import { createCatalogue } from '../../src/core/catalogue.js';
import { type EventSessionsError, isEventSessionsError } from '../../src/core/errors.js';
import { type AcceptedEvent, decodeEvent, SEQUENCE_BYTES } from '../../src/core/event.js';

function accept(
  input: Record<string, unknown>,
  config: Partial<AcceptEventConfig> = {},
): AcceptedEvent | Promise<AcceptedEvent> {
  const acceptEvent = createAcceptEvent({
    source: '/test',
    catalogue: createCatalogue(undefined),
    topic: undefined,
    maxDepth: 100,
    maxEventBytes: 1_048_576,
    ...config,
  });
  return acceptEvent('s-1', { type: 'order.placed', data: 1, ...input } as EventInput);
}

async function refusal(
  input: Record<string, unknown>,
  config: Partial<AcceptEventConfig> = {},
): Promise<EventSessionsError> {
  try {
    await accept(input, config);
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('it was let through');
}

const decode = async (input: Record<string, unknown>, config: Partial<AcceptEventConfig> = {}) =>
  decodeEvent({ topic: 't', sequence: 1, json: (await accept(input, config)).json });

describe('the id', () => {
  test('is made up, a different one each time, or the given one', async () => {
    const [a, b] = [await accept({}), await accept({})];
    expect(a.id).toMatch(/^[A-Za-z0-9_-]{22}-1$/);
    expect(a.id).not.toBe(b.id);
    expect(await decode({ id: 'x'.repeat(128) })).toMatchObject({ id: 'x'.repeat(128) });
  });

  test.each(['', 'a b', 'x'.repeat(129), 'a\n', '"', 'ä', '{a}', 5, null])('%j is refused', async (id) => {
    expect(await refusal({ id })).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: 'id' }] });
  });
});

describe('the type', () => {
  test.each(['', 'a\nb', 'a\ud800', 'x'.repeat(257), undefined, null, 5, {}])(
    '%j is refused',
    async (type) => {
      const error = await refusal({ type, topic: 't' });
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.message).toMatch(/^The event: type: expected text/);
      expect(error.issues).toMatchObject([{ path: 'type' }]);
    },
  );
});

describe('the topic', () => {
  const catalogue = createCatalogue({ 'order.placed': { schema: z.any(), topic: 'from-catalogue' } });
  const rule: TopicRule = () => 'from-option';

  test('is the one of add, else of the option, else of the catalogue, else the type', async () => {
    const topicOf = async (input: Record<string, unknown>, config: Partial<AcceptEventConfig>) =>
      (await accept(input, config)).topic;
    expect(await topicOf({ topic: 'from-add' }, { catalogue, topic: rule })).toBe('from-add');
    expect(await topicOf({}, { catalogue, topic: rule })).toBe('from-option');
    expect(await topicOf({}, { catalogue })).toBe('from-catalogue');
    expect(await topicOf({}, {})).toBe('order.placed');
  });

  test('rule sees type, subject and the data as the schema put them out', async () => {
    const seen: unknown[] = [];
    await accept(
      { data: { a: 1 }, subject: 'o-1' },
      {
        catalogue: createCatalogue({
          'order.placed': z.object({ a: z.number(), b: z.string().default('x') }),
        }),
        topic: (event) => {
          seen.push(event);
          return 't';
        },
      },
    );
    expect(seen).toEqual([{ type: 'order.placed', data: { a: 1, b: 'x' }, subject: 'o-1' }]);
  });

  test('may be ephemeral', async () => {
    expect((await accept({ topic: 'a#ephemeral' })).topic).toBe('a#ephemeral');
  });

  test.each(['', 'a b', 'a\n', 'x'.repeat(65), '#ephemeral', 'ä', 'a/b'])('%j is refused', async (topic) => {
    const error = await refusal({ topic, id: 'e-1' });
    expect(error).toMatchObject({
      code: 'INVALID_TOPIC',
      topic,
      eventId: 'e-1',
      eventType: 'order.placed',
    });
    expect(error.message).toContain('1 to 64 characters');
    expect(error.message).not.toContain('\n');
  });

  test('from a rule that throws, or that answers no text, is refused', async () => {
    const boom = new Error('boom');
    const throwing = () => {
      throw boom;
    };
    expect(await refusal({}, { topic: throwing })).toMatchObject({ code: 'INVALID_TOPIC', cause: boom });
    const wrong = (() => undefined) as unknown as TopicRule;
    expect((await refusal({}, { topic: wrong })).message).toContain('got undefined');
  });

  test('of a type that is no topic is asked for', async () => {
    const error = await refusal({ type: 'https://shop.example/order placed' });
    expect(error.code).toBe('INVALID_TOPIC');
    expect(error.message).toContain('Give the event a topic');
    expect((await accept({ type: 'https://shop.example/order placed', topic: 't' })).topic).toBe('t');
  });
});

describe('the time', () => {
  test('is now, or the given date, or the given text as it is', async () => {
    const before = Date.now();
    const { time } = await decode({});
    expect(Date.parse(time)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(time)).toBeLessThanOrEqual(Date.now());
    expect((await decode({ time: new Date(0) })).time).toBe('1970-01-01T00:00:00.000Z');
    expect((await decode({ time: '2025-01-31T12:00:00.5+01:00' })).time).toBe('2025-01-31T12:00:00.5+01:00');
  });

  test.each<[unknown]>([
    [new Date(Number.NaN)],
    ['now'],
    ['2025-01-31'],
    ['2025-01-31 12:00:00Z'],
    ['2025-01-31T12:00:00'],
    ['2025-13-01T12:00:00Z'],
    ['2025-01-32T12:00:00Z'],
    ['2025-01-31T25:00:00Z'],
    ['2025-01-31T12:00:00+24:00'],
    ['2025-01-31T12:00:00Z\n'],
    [1738324800000],
    [null],
    [{}],
  ])('%s is refused', async (time) => {
    const error = await refusal({ time });
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: 'time' }] });
    expect(error.message).toContain('RFC 3339');
  });

  test('a date of another realm is one', async () => {
    const time: Date = runInNewContext('new Date(0)');
    expect((await decode({ time })).time).toBe('1970-01-01T00:00:00.000Z');
  });

  test.each([['2025-02-30T12:00:00Z'], ['2025-02-29T12:00:00Z'], ['2025-01-31T24:00:00Z']])(
    '%s, which is on no calendar or clock, is refused',
    async (time) => {
      expect(await refusal({ time })).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: 'time' }] });
    },
  );

  test.each([[8.64e15], [Date.UTC(10_000, 0)], [-1e15]])(
    'a date %d ms from the epoch, in a year that RFC 3339 cannot write, is refused',
    async (ms) => {
      expect(await refusal({ time: new Date(ms) })).toMatchObject({
        code: 'INVALID_INPUT',
        issues: [{ path: 'time' }],
      });
    },
  );
});

describe('the subject', () => {
  test.each(['', 'a\nb', '\u0085', '\udfffa', 'x'.repeat(1025), 5, null])(
    '%j is refused',
    async (subject) => {
      expect(await refusal({ subject })).toMatchObject({
        code: 'INVALID_INPUT',
        issues: [{ path: 'subject' }],
      });
    },
  );
});

describe('extensions', () => {
  test('of every kind that CloudEvents has are carried', async () => {
    const extensions = { a: 'x', b2: true, c: -(2 ** 31), '9': 2 ** 31 - 1, [`x${'y'.repeat(19)}`]: 'long' };
    expect(await decode({ extensions })).toMatchObject(extensions);
  });

  test.each(['Bad', 'a-b', 'a_b', 'ä', '', 'x'.repeat(21), 'traceParent'])(
    'may not be named %j',
    async (name) => {
      const error = await refusal({ extensions: { [name]: 'x' } });
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.issues?.[0]?.path).toBe(`extensions.${name}`);
    },
  );

  test.each([
    'specversion',
    'id',
    'source',
    'type',
    'time',
    'datacontenttype',
    'dataschema',
    'subject',
    'data',
    'sessionid',
    'sequence',
  ])('may not take the place of %s', async (name) => {
    const error = await refusal({ extensions: { [name]: 'x' } });
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: `extensions.${name}` }] });
  });

  test('with a wrong name are told what a name must be', async () => {
    const { message } = await refusal({ extensions: { Bad: 'x' } });
    expect(message).toMatch(/extensions\.Bad: expected .*name.*got/i);
    expect((await refusal({ extensions: { id: 'x' } })).message).toMatch(
      /extensions\.id: .*(name|reserved)/i,
    );
  });

  test('are 100 at most, and of more none is looked at', async () => {
    const many = (count: number, value: unknown) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, value]));
    expect(await decode({ extensions: many(100, 'x') })).toMatchObject(many(100, 'x'));
    for (const value of ['x', {}]) {
      const { code, issues } = await refusal({ extensions: many(101, value) });
      expect(code).toBe('INVALID_INPUT');
      expect(issues).toEqual([
        { path: 'extensions', message: expect.stringContaining('up to 100 extension attributes') },
      ]);
    }
  });

  test('named __proto__ are refused, not dropped', async () => {
    const extensions = JSON.parse('{"__proto__":"x"}');
    expect((await refusal({ extensions })).code).toBe('INVALID_INPUT');
  });

  test.each<[unknown]>([
    [1.5],
    [2 ** 31],
    [Number.NaN],
    [1n],
    [null],
    [undefined],
    [{}],
    [[]],
    ['a\nb'],
    ['a\udc00\ud800'],
    ['x'.repeat(1025)],
    [new Date(0)],
  ])('may not have the value %s', async (value) => {
    expect(await refusal({ extensions: { a: value } })).toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: 'extensions.a' }],
    });
  });

  test.each<[unknown]>([[5], ['a'], [[]], [null]])('may not be %j', async (extensions) => {
    expect((await refusal({ extensions })).code).toBe('INVALID_INPUT');
  });
});

test('an option that there is not is named', async () => {
  expect(await refusal({ subjekt: 'x' })).toMatchObject({
    code: 'INVALID_INPUT',
    issues: [
      { path: 'subjekt', message: 'is not an option (options: id, topic, subject, time, extensions)' },
    ],
  });
});

describe('the size', () => {
  test('counts bytes of the whole envelope with its sequence, not characters', async () => {
    const { json } = await accept({ id: 'e-1', time: new Date(0), data: '€'.repeat(100) });
    const bytes = Buffer.byteLength(json) + SEQUENCE_BYTES;
    const input = { id: 'e-1', time: new Date(0), data: '€'.repeat(100) };
    expect((await accept(input, { maxEventBytes: bytes })).id).toBe('e-1');
    const error = await refusal(input, { maxEventBytes: bytes - 1 });
    expect(error).toMatchObject({
      code: 'EVENT_TOO_LARGE',
      limit: bytes - 1,
      actual: bytes,
      eventId: 'e-1',
      eventType: 'order.placed',
    });
    expect(json.length).toBeLessThan(bytes - 150);
  });

  test('of 2 MiB of data is too large by default', async () => {
    expect(await refusal({ data: 'x'.repeat(2 * 1_048_576) })).toMatchObject({
      code: 'EVENT_TOO_LARGE',
      limit: 1_048_576,
    });
  });

  test('of subject and extensions counts as well', async () => {
    const { json } = await accept({});
    const extensions = { a: 'x'.repeat(1_000) };
    const maxEventBytes = Buffer.byteLength(json) + 500;
    expect((await refusal({ extensions }, { maxEventBytes })).code).toBe('EVENT_TOO_LARGE');
  });
});

describe('the data', () => {
  test('is the output of the schema, also of an async one', async () => {
    const schema = z.object({ total: z.number().transform((n) => n * 100), at: z.string().default('now') });
    const slow = schema.refine(async () => true);
    for (const one of [schema, slow]) {
      const catalogue = createCatalogue({ 'order.placed': one });
      expect((await decode({ data: { total: 1 } }, { catalogue })).data).toEqual({ total: 100, at: 'now' });
    }
  });

  test('that a schema puts out must be JSON as well', async () => {
    const catalogue = createCatalogue({
      'order.placed': z.string().transform((text) => new Map([[text, 1]])),
    });
    expect((await refusal({ data: 'x' }, { catalogue })).message).toBe('data: a Map is not JSON');
  });

  test('comes out as it was, with a lone surrogate as its escape', async () => {
    const data = { 'a\ud800': ['\udfff', '💶'] };
    expect((await accept({ data })).json).toContain('{"a\\ud800":["\\udfff","💶"]}');
    expect((await decode({ data })).data).toEqual(data);
  });

  test('may be forgotten by nobody', async () => {
    expect(await refusal({ data: undefined })).toMatchObject({
      code: 'INVALID_EVENT',
      message: 'data: undefined is not JSON',
    });
  });

  test('that is a promise is refused, as anywhere inside it', async () => {
    expect((await refusal({ data: { a: Promise.resolve(1) } })).code).toBe('INVALID_EVENT');
    expect((await refusal({ data: Promise.resolve(1) })).message).toBe('data: a Promise is not JSON');
  });

  test('that is a promise which rejects lets no foreign error through', async () => {
    const data = Promise.reject(new Error('boom'));
    data.catch(() => {});
    expect((await refusal({ data })).code).toBe('INVALID_EVENT');
  });

  test('is limited in depth', async () => {
    expect((await refusal({ data: [[1]] }, { maxDepth: 1 })).code).toBe('INVALID_EVENT');
    expect((await decode({ data: [1] }, { maxDepth: 1 })).data).toEqual([1]);
  });
});

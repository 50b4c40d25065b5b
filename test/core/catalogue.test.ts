import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Catalogue, createCatalogue } from '../../src/core/catalogue.js';
import { type EventSessionsError, isEventSessionsError } from '../../src/core/errors.js';

async function refusal(entries: Catalogue, eventType: string, data: unknown): Promise<EventSessionsError> {
  try {
    await createCatalogue(entries).validate(eventType, data);
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('it was let through');
}

/** A schema by hand, for what no library would do. */
const schemaOf = (validate: (value: unknown) => unknown): StandardSchemaV1 => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: validate as StandardSchemaV1['~standard']['validate'],
  },
});

// The same shape in three libraries: a text, a number with a default, a list; the total is turned into cents.
const libraries: Record<string, StandardSchemaV1> = {
  zod: z.object({
    orderId: z.string(),
    total: z.number().transform((total) => total * 100),
    currency: z.string().default('EUR'),
    items: z.array(z.object({ sku: z.string() })).default([]),
  }),
  valibot: v.object({
    orderId: v.string(),
    total: v.pipe(
      v.number(),
      v.transform((total) => total * 100),
    ),
    currency: v.optional(v.string(), 'EUR'),
    items: v.optional(v.array(v.object({ sku: v.string() })), []),
  }),
  arktype: type({
    orderId: 'string',
    total: type('number').pipe((total) => total * 100),
    currency: 'string = "EUR"',
    items: type({ sku: 'string' })
      .array()
      .default(() => []),
  }),
};

describe.each(Object.entries(libraries))('with a schema of %s', (_, schema) => {
  const entries = { 'order.placed': schema };

  test('the output is what counts: defaults are filled in, transforms are done', async () => {
    const output = await createCatalogue(entries).validate('order.placed', { orderId: 'o-1', total: 42 });
    expect(output).toEqual({ orderId: 'o-1', total: 4200, currency: 'EUR', items: [] });
  });

  test('wrong data is refused, with an issue for each mistake and its path', async () => {
    const error = await refusal(entries, 'order.placed', {
      orderId: 'o-1',
      total: 'x',
      items: [{ sku: 'a' }, { sku: 5 }],
    });
    expect(error).toMatchObject({ code: 'INVALID_EVENT', eventType: 'order.placed' });
    expect(error.issues?.map(({ path }) => path).sort()).toEqual(['items.1.sku', 'total']);
    for (const { path, message } of error.issues ?? []) {
      expect(message).not.toBe('');
      expect(error.message).toContain(`${path}: ${message}`);
    }
  });

  test('of very many mistakes the first hundred are told', async () => {
    const items = Array.from({ length: 1_000 }, () => ({ sku: 5 }));
    const { issues, message } = await refusal(entries, 'order.placed', { orderId: 'o-1', total: 1, items });
    expect(issues).toHaveLength(100);
    expect(message).toMatch(/; …$/);
  });

  test('data that is nothing at all is refused at its root', async () => {
    const error = await refusal(entries, 'order.placed', undefined);
    expect(error.code).toBe('INVALID_EVENT');
    expect([...(error.issues ?? [])]).toEqual([{ path: '', message: expect.stringMatching(/object/i) }]);
    expect(error.message).toMatch(/^The data of order\.placed is not valid: [^:]/);
  });

  test('issues are plain data, which JSON takes: an HTTP answer can carry them', async () => {
    const { issues } = await refusal(entries, 'order.placed', { orderId: 5, total: 1 });
    expect(JSON.parse(JSON.stringify(issues))).toEqual([{ path: 'orderId', message: expect.any(String) }]);
  });
});

describe('an async schema', () => {
  const known = z.string().refine(async (id) => id.startsWith('o-'), { error: 'no such order' });

  test('is waited for', async () => {
    const catalogue = createCatalogue({ 'order.placed': known, plain: z.string() });
    const result = catalogue.validate('order.placed', 'o-1');
    expect(result).toBeInstanceOf(Promise);
    expect(await result).toBe('o-1');
    expect(catalogue.validate('plain', 'x')).toBe('x');
  });

  test('refuses like any other', async () => {
    expect(await refusal({ 'order.placed': known }, 'order.placed', 'x-1')).toMatchObject({
      code: 'INVALID_EVENT',
      issues: [{ path: '', message: 'no such order' }],
    });
  });
});

describe('a schema that misbehaves is an INVALID_EVENT', () => {
  const boom = new Error('boom');

  test.each<[string, StandardSchemaV1]>([
    [
      'throws',
      schemaOf(() => {
        throw boom;
      }),
    ],
    ['rejects', schemaOf(async () => Promise.reject(boom))],
    [
      'throws in a transform',
      z.string().transform(() => {
        throw boom;
      }),
    ],
  ])('when it %s, with the cause', async (_, schema) => {
    expect(await refusal({ a: schema }, 'a', 'x')).toMatchObject({
      code: 'INVALID_EVENT',
      eventType: 'a',
      cause: boom,
    });
  });

  test.each<[string, StandardSchemaV1]>([
    ['nothing', schemaOf(() => undefined)],
    ['a promise of nothing', schemaOf(async () => undefined)],
  ])('when it answers %s', async (_, schema) => {
    expect(await refusal({ a: schema }, 'a', 'x')).toMatchObject({ code: 'INVALID_EVENT', eventType: 'a' });
  });

  test('paths of any kind of key are told', async () => {
    const path = ['a', 0, { key: 'b' }, Symbol('c')];
    const schema = schemaOf(() => ({ issues: [{ message: 'no', path }] }));
    expect((await refusal({ a: schema }, 'a', 'x')).issues).toEqual([
      { path: 'a.0.b.Symbol(c)', message: 'no' },
    ]);
  });
});

describe('an unknown type', () => {
  test.each(['order.shipped', 'toString', '__proto__', 'constructor', ''])(
    '%j is told the known ones',
    async (one) => {
      const error = await refusal({ 'order.placed': z.any(), 'order.paid': { schema: z.any() } }, one, {});
      expect(error).toMatchObject({ code: 'UNKNOWN_EVENT_TYPE', eventType: one });
      expect(error.message).toContain(`${JSON.stringify(one)}. It has: order.placed, order.paid`);
      expect(error.message).not.toContain('…');
    },
  );

  test('is told ten of many', async () => {
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`type-${i}`, z.any()]));
    const { message } = await refusal(many, 'x', {});
    expect(message).toContain('type-9, …');
    expect(message).not.toContain('type-10');
  });
});

test('a topic comes from its entry, and only from there', () => {
  const { topicOf } = createCatalogue({
    a: { schema: z.any(), topic: 'orders' },
    b: { schema: z.any() },
    c: z.any(),
    d: { schema: type('string'), topic: 'texts' },
    e: type('string'),
  });
  expect(['a', 'b', 'c', 'd', 'e', 'f', 'toString'].map(topicOf)).toEqual([
    'orders',
    undefined,
    undefined,
    'texts',
    undefined,
    undefined,
    undefined,
  ]);
});

test('without a catalogue every type and any data passes as it is', () => {
  const catalogue = createCatalogue(undefined);
  const data = { a: 1 };
  expect(catalogue.validate('anything', data)).toBe(data);
  expect(catalogue.topicOf('anything')).toBeUndefined();
});

test('an empty catalogue knows no type', async () => {
  expect((await refusal({}, 'a', 1)).code).toBe('UNKNOWN_EVENT_TYPE');
});

import { afterEach, describe, expect, test } from 'vitest';
import * as userZod from 'zod';
import * as z from 'zod/mini';
import { type EventSessionsError, isEventSessionsError } from '../../src/core/errors.js';
import {
  describe as describeValue,
  functionOf,
  idSchema,
  plainText,
  timerMs,
  validate,
  wholeNumber,
  withMethods,
} from '../../src/core/validate.js';

function refusal(schema: z.ZodMiniType, input: unknown): EventSessionsError {
  try {
    validate(schema, input, 'The test');
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('it was let through');
}

test('what is right comes back', () => {
  expect(validate(z.strictObject({ n: wholeNumber(1) }), { n: 1 }, 'The test')).toEqual({ n: 1 });
});

test('every mistake is told, each with its path, what was expected and what came', () => {
  const schema = z.strictObject({
    n: wholeNumber(1, 9),
    inner: z.strictObject({ id: idSchema, text: z.string() }),
    list: z.array(z.boolean()),
  });
  const error = refusal(schema, {
    n: 10,
    inner: { id: 'a b', text: 5, extra: 1 },
    list: [true, 'x'],
    more: 1,
  });
  expect(error.code).toBe('INVALID_INPUT');
  expect(error.issues).toEqual(
    expect.arrayContaining([
      { path: 'n', message: 'expected a whole number from 1 to 9, got 10' },
      { path: 'inner.id', message: 'expected an id of 1 to 128 characters A-Z a-z 0-9 _ -, got "a b"' },
      { path: 'inner.extra', message: 'is not an option (options: id, text)' },
      { path: 'more', message: 'is not an option (options: n, inner, list)' },
    ]),
  );
  expect(error.issues?.map(({ path }) => path)).toEqual(expect.arrayContaining(['inner.text', 'list.1']));
  expect(error.message).toMatch(/^The test: .*; /);
  for (const { path } of error.issues ?? []) expect(error.message).toContain(path);
});

test('of very many mistakes the first hundred are told', () => {
  const numbers = (length: number) => Array.from({ length }, (_, i) => i);
  const options = (length: number) => Object.fromEntries(numbers(length).map((n) => [`option${n}`, n]));
  for (const error of [
    refusal(z.array(z.boolean()), numbers(101)),
    refusal(z.strictObject({}), options(200_000)),
  ]) {
    expect(error.issues).toHaveLength(100);
    expect(error.message).toMatch(/; …$/);
  }
  const error = refusal(z.strictObject({}), options(100));
  expect(error.issues).toHaveLength(100);
  expect(error.message).not.toContain('…');
});

describe('an app that uses zod itself', () => {
  afterEach(() => {
    userZod.config({ ...userZod.locales.en(), customError: undefined });
  });
  const schema = z.strictObject({ text: z.string() });

  test('gets plain messages', () => {
    expect(refusal(schema, { text: 5 }).message).toBe('The test: text: expected string, got 5');
    expect(refusal(schema, null).message).toBe('The test: expected object, got null');
  });

  test('does not change our messages by its locale or error map', () => {
    userZod.config(userZod.locales.de());
    expect(refusal(schema, { text: 5 }).message).toBe('The test: text: expected string, got 5');
    userZod.config({ customError: () => 'mine' });
    expect(refusal(schema, { text: 5 }).message).toBe('The test: text: expected string, got 5');
  });
});

describe('a value in a message', () => {
  test.each<[unknown, string]>([
    [null, 'null'],
    [undefined, 'undefined'],
    [[1, 2], 'an array of 2'],
    [{}, 'an object'],
    ['a"\n', '"a\\"\\n"'],
    ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
    [Number.NaN, 'NaN'],
    [false, 'false'],
    [1n, 'a bigint'],
    [Symbol('secret'), 'a symbol'],
    [() => {}, 'a function'],
    [Object.create(null), 'an object'],
  ])('%o is short and on one line', (value, expected) => {
    expect(describeValue(value)).toBe(expected);
  });
});

describe('the building blocks', () => {
  test.each<[string, z.ZodMiniType, unknown[], unknown[]]>([
    [
      'an id',
      idSchema,
      ['a', 'A-z_9', 'x'.repeat(128)],
      ['', 'x'.repeat(129), 'a b', 'a\n', 'ä', 'a/b', 5, null],
    ],
    [
      'text',
      plainText(3),
      ['a', 'a"b', '€€€', '💶'],
      ['', 'abcd', 'a\nb', '\u0000', '\u007f', '\u0085', '\ud800', '\udc00a', 5],
    ],
    ['a whole number', wholeNumber(0, 9), [0, 9, -0], [-1, 10, 1.5, '1', Number.NaN, 1n, null]],
    ['a timer', timerMs(), [1, 2_147_483_647], [0, 2_147_483_648, Number.POSITIVE_INFINITY]],
    ['a function', functionOf('a function'), [() => {}, class {}], [{}, 'f', undefined]],
    [
      'an object with methods',
      withMethods<{ go(): void }>('a thing', 'go'),
      [{ go() {} }, Object.create({ go() {} })],
      [{}, { go: 1 }, null, 'go', undefined],
    ],
  ])('%s', (_, schema, good, bad) => {
    for (const value of good) expect(validate(schema, value, 'The test')).toBe(value);
    for (const value of bad) expect(refusal(schema, value).code).toBe('INVALID_INPUT');
  });
});

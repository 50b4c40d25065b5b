import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EventSessionsError, isEventSessionsError } from '../../src/core/errors.js';
import { type JsonLimits, toJsonText } from '../../src/core/json-text.js';

const LIMITS: JsonLimits = { maxDepth: 100, maxBytes: 1_000_000 };

function refusal(value: unknown, limits: Partial<JsonLimits> = {}): EventSessionsError {
  try {
    toJsonText(value, { ...LIMITS, ...limits });
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('it was let through');
}

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let i = 1; i < levels; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** 2 to the power of `levels` leaves, in an object graph of `levels` arrays. */
function exploding(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i += 1) value = [value, value];
  return value;
}

test('any JSON value comes through as JSON.stringify writes it', () => {
  const value = fc
    .oneof(fc.jsonValue({ stringUnit: 'binary' }), fc.jsonValue({ maxDepth: 10 }))
    .filter((one) => !JSON.stringify(one).includes('"__proto__":'));
  fc.assert(
    fc.property(value, (one) => {
      expect(JSON.parse(toJsonText(one, LIMITS))).toEqual(JSON.parse(JSON.stringify(one)));
    }),
    { numRuns: 300 },
  );
});

describe('what JSON has its own way for is kept', () => {
  class Money {
    constructor(readonly amount: number) {}
    get doubled() {
      return this.amount * 2;
    }
  }

  test.each<[string, unknown, unknown]>([
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['a toJSON', { toJSON: () => ({ a: 1 }) }, { a: 1 }],
    [
      'a toJSON that answers itself',
      new (class {
        a = 1;
        toJSON() {
          return this;
        }
      })(),
      { a: 1 },
    ],
    ['a member named toJSON that is no function', { toJSON: 'a' }, { toJSON: 'a' }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['an instance of a class', new Money(1), { amount: 1 }],
    ['a member that is undefined', { a: undefined, b: 1 }, { b: 1 }],
    [
      'keys that an object has by nature',
      JSON.parse('{"constructor":1,"toString":2}'),
      {
        constructor: 1,
        toString: 2,
      },
    ],
    ['a URL', new URL('https://shop.example/'), 'https://shop.example/'],
    ['a Buffer, which has a toJSON', Buffer.from('a'), { type: 'Buffer', data: [97] }],
  ])('%s', (_, value, expected) => {
    expect(JSON.parse(toJsonText(value, LIMITS))).toEqual(expected);
  });

  test('the same object in two places is no cycle', () => {
    const shared = { a: 1 };
    expect(toJsonText([shared, shared, { shared }], LIMITS)).toBe('[{"a":1},{"a":1},{"shared":{"a":1}}]');
  });
});

describe('what JSON cannot hold is refused with its path', () => {
  test.each<[string, unknown, string]>([
    ['undefined', undefined, 'data: undefined is not JSON'],
    ['a function', () => {}, 'data: a function is not JSON'],
    ['a symbol', Symbol('s'), 'data: a symbol is not JSON'],
    ['a BigInt', 1n, 'data: a bigint is not JSON'],
    ['NaN', Number.NaN, 'data: NaN is not JSON'],
    ['Infinity in an object', { a: { b: Number.NEGATIVE_INFINITY } }, 'data.a.b: -Infinity is not JSON'],
    ['undefined in an array', [1, undefined], 'data[1]: undefined is not JSON'],
    ['a hole in an array', new Array(2), 'data[0]: undefined is not JSON'],
    ['a function in an object', { a: [{ b() {} }] }, 'data.a[0].b: a function is not JSON'],
    ['a BigInt in an array', [[1n]], 'data[0][0]: a bigint is not JSON'],
    ['an invalid date', { at: new Date(Number.NaN) }, 'data.at: an invalid date is not JSON'],
    ['a Map', { a: new Map([[1, 2]]) }, 'data.a: a Map is not JSON'],
    ['a Set', new Set(), 'data: a Set is not JSON'],
    ['a typed array', new Uint8Array(2), 'data: a Uint8Array is not JSON'],
    ['a DataView', new DataView(new ArrayBuffer(1)), 'data: a DataView is not JSON'],
    ['a promise', { a: Promise.resolve() }, 'data.a: a Promise is not JSON'],
    ['an own key __proto__', JSON.parse('{"a":{"__proto__":{"b":1}}}'), 'data.a: a key named __proto__'],
    ['a toJSON that answers undefined', [{ toJSON() {} }], 'data[0]: undefined is not JSON'],
    ['a toJSON that answers NaN', { toJSON: () => Number.NaN }, 'data: NaN is not JSON'],
  ])('%s', (_, value, message) => {
    const error = refusal(value);
    expect(error.code).toBe('INVALID_EVENT');
    expect(error.message).toContain(message);
    expect(error.issues).toHaveLength(1);
    expect(message.startsWith(`${error.issues?.[0]?.path}:`)).toBe(true);
  });

  test.each<[string, unknown]>([
    ['an ArrayBuffer', new ArrayBuffer(2)],
    ['a WeakMap', new WeakMap()],
    ['a RegExp', /a/],
    ['an Error', new Error('no')],
    ['a boxed NaN', Object(Number.NaN)],
    ['a boxed symbol', Object(Symbol('s'))],
  ])('%s, of which JSON.stringify would keep nothing', (_, value) => {
    expect(refusal({ a: value })).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path: 'data.a' }] });
  });

  test('a cycle, through objects, arrays and a toJSON', () => {
    const loop: Record<string, unknown> = { a: 1 };
    loop.self = [loop];
    expect(refusal({ loop }).message).toBe('data.loop.self[0]: a cycle is not JSON');
    const viaToJson = { toJSON: () => ({ inner: viaToJson }) };
    expect(refusal(viaToJson).code).toBe('INVALID_EVENT');
  });

  test.each([100_000, 101])('%i levels', (levels) => {
    const error = refusal(nested(levels));
    expect(error).toMatchObject({ code: 'INVALID_EVENT' });
    expect(error.message).toContain('nested deeper than 100 levels');
    expect(error.message.length).toBeLessThan(400);
  });

  test('but as many levels as are allowed pass', () => {
    expect(toJsonText(nested(100), LIMITS)).toBe(JSON.stringify(nested(100)));
    expect(toJsonText([[[1]]], { ...LIMITS, maxDepth: 3 })).toBe('[[[1]]]');
    expect(refusal([[[[]]]], { maxDepth: 3 }).message).toContain('data[0][0][0]');
  });
});

describe('code of the value that misbehaves', () => {
  const boom = new Error('boom');

  test.each<[string, unknown]>([
    [
      'a getter that throws',
      {
        get a() {
          throw boom;
        },
      },
    ],
    [
      'a toJSON that throws',
      {
        toJSON() {
          throw boom;
        },
      },
    ],
    [
      'a proxy that throws',
      new Proxy(
        {},
        {
          ownKeys() {
            throw boom;
          },
        },
      ),
    ],
  ])('%s is the cause of the refusal', (_, value) => {
    expect(refusal(value)).toMatchObject({ code: 'INVALID_EVENT', cause: boom });
  });

  test('a toJSON that answers a new level without end is refused', () => {
    const endless = () => ({ toJSON: () => ({ next: endless() }) });
    expect(refusal(endless()).message).toContain('nested deeper');
  });

  test.each<[string, (call: number) => unknown]>([
    ['nothing', () => undefined],
    ['NaN', () => ({ a: Number.NaN })],
    ['a Map', () => ({ a: new Map([[1, 2]]) })],
  ])('a toJSON that answers something good first and %s later loses nothing', (_, later) => {
    let calls = 0;
    const liar = {
      toJSON() {
        calls += 1;
        return calls === 1 ? { a: 1 } : later(calls);
      },
    };
    let text: string | undefined;
    try {
      text = toJsonText(liar, LIMITS);
    } catch (error) {
      expect(isEventSessionsError(error)).toBe(true);
      return;
    }
    expect(text).toBe('{"a":1}');
  });

  test('a getter that answers something else each time loses nothing', () => {
    let reads = 0;
    const liar = {
      get a() {
        reads += 1;
        return reads === 1 ? 1 : Number.NaN;
      },
    };
    let text: string | undefined;
    try {
      text = toJsonText(liar, LIMITS);
    } catch (error) {
      expect(isEventSessionsError(error)).toBe(true);
      return;
    }
    expect(text).toBe('{"a":1}');
  });

  test('a toJSON is told its key, as JSON.stringify does', () => {
    const keyed = { toJSON: (key: string) => (key === '' ? undefined : `at ${key}`) };
    expect(toJsonText({ a: keyed, b: [keyed] }, LIMITS)).toBe('{"a":"at a","b":["at 0"]}');
  });
});

describe('size is bounded', () => {
  test('shared references that explode are too large, not endless', () => {
    expect(refusal(exploding(20), { maxBytes: 10_000 })).toMatchObject({
      code: 'EVENT_TOO_LARGE',
      limit: 10_000,
    });
    expect(refusal(exploding(60), { maxBytes: 1_000_000 }).code).toBe('EVENT_TOO_LARGE');
  });

  test('an array of more values than there may be bytes is too large', () => {
    expect(refusal(new Array(100_001).fill(0), { maxBytes: 100_000 }).code).toBe('EVENT_TOO_LARGE');
  });

  test('an array with an absurd length is refused without walking it', () => {
    expect(refusal(new Array(2 ** 32 - 1)).code).toBe('INVALID_EVENT');
  });

  test('one long string in many places is too large, before its text is written out', () => {
    const text = 'x'.repeat(1_048_576);
    expect(refusal(new Array(600).fill(text)).code).toBe('EVENT_TOO_LARGE');
  });

  test('another subject has its own name and code, also when it is too large', () => {
    const limits = { subject: 'metadata', code: 'INVALID_INPUT', maxBytes: 100 } as const;
    expect(refusal({ a: 1n }, limits)).toMatchObject({
      code: 'INVALID_INPUT',
      message: 'metadata.a: a bigint is not JSON',
    });
    expect(refusal(new Array(200).fill(0), limits)).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/^metadata: more than/),
    });
  });
});

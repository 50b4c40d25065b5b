import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainJson, quoted } from '../../src/core/plain-json.js';

const LARGE = 1_000_000;

describe('plain values', () => {
  test('have the text that JSON.stringify makes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.string({ unit: 'binary' }), (value, text) => {
        const both = { value, [text]: text, '': [text], left: undefined };
        const json = JSON.stringify(both);
        fc.pre(!/"(__proto__|toJSON)":/.test(json));
        expect(plainJson(both, 100, LARGE)).toBe(json);
      }),
    );
  });

  test.each([
    0,
    -0,
    1e21,
    1e-7,
    2 ** 53,
    true,
    null,
    '',
    [],
    {},
    [[]],
    Object.create(null),
    { a: { b: {} } },
  ])('%j', (value) => {
    expect(plainJson(value, 100, LARGE)).toBe(JSON.stringify(value));
  });

  test('read each member once', () => {
    let reads = 0;
    const value = {
      get once() {
        reads += 1;
        return reads;
      },
    };
    expect(plainJson(value, 100, LARGE)).toBe('{"once":1}');
    expect(reads).toBe(1);
  });

  test('texts of any kind are quoted as JSON.stringify does it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        expect(quoted(text)).toBe(JSON.stringify(text));
      }),
    );
    for (const text of ['"', '\\', '\u0000', '\u001f', '\u007f', '\u2028', '\ud800', '😀', 'ü']) {
      expect(quoted(text)).toBe(JSON.stringify(text));
    }
  });
});

describe('is left to a closer look:', () => {
  class Money {
    amount = 1;
  }
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const cycle: unknown[] = [];
  cycle.push(cycle);
  test.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a BigInt', 1n],
    ['NaN', Number.NaN],
    ['an infinite number', Number.POSITIVE_INFINITY],
    ['a hole', new Array(1)],
    ['a date', new Date(0)],
    ['a Map', new Map()],
    ['a boxed number', Object(1)],
    ['an instance of a class', new Money()],
    ['an array of a class', new (class extends Array {})()],
    ['an own toJSON', { toJSON: () => 1 }],
    ['an array with a toJSON', Object.assign([], { toJSON: () => 1 })],
    ['an own key __proto__', JSON.parse('{"__proto__":1}')],
    ['a promise', Promise.resolve(1)],
    ['a cycle', cycle],
    ['a revoked proxy', revoked.proxy],
  ])('%s, wherever it is', (_, value) => {
    expect(plainJson(value, 100, LARGE)).toBeUndefined();
    expect(plainJson([value], 100, LARGE)).toBeUndefined();
    if (value !== undefined) expect(plainJson({ deep: { value } }, 100, LARGE)).toBeUndefined();
  });

  test('what is deeper than allowed', () => {
    expect(plainJson([[1]], 2, LARGE)).toBe('[[1]]');
    expect(plainJson([[1]], 1, LARGE)).toBeUndefined();
    expect(plainJson(1, 0, LARGE)).toBe('1');
  });

  test('what is longer than allowed, also by sharing', () => {
    expect(plainJson('x'.repeat(11), 100, 10)).toBeUndefined();
    let shared: unknown = 'x';
    for (let i = 0; i < 60; i += 1) shared = [shared, shared];
    expect(plainJson(shared, 100, 10_000)).toBeUndefined();
  });
});

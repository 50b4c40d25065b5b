import type { Chance } from './fuzz.js';

/** Makes a value, by chance. */
export type Make<T = unknown> = (chance: Chance) => T;

const TEXTS = [
  '',
  '\0',
  '\ud800',
  'a\udc00b',
  '\u2028\r\n',
  'é日本🙂',
  '__proto__',
  'constructor',
  'toString',
  '}',
  '{}',
  '*',
  '"datacontenttype":"application/json","data":',
  ',"sequence":"0000000001"}',
  'a',
  'order.placed',
  '-1',
  'x'.repeat(128),
  'x'.repeat(129),
];

/** Text with everything in it that breaks formats. */
export const text: Make<string> = (chance) =>
  chance.happens(0.5)
    ? chance.pick(TEXTS)
    : String.fromCharCode(...chance.some(20, () => chance.below(chance.pick([0x80, 0x10000]))));

/** What a caller could have for an id: often a good one. */
export const id: Make<string> = (chance) =>
  chance.happens(0.7) ? chance.pick(['s-1', 's-2', 'e_1', `e-${chance.below(1_000)}`]) : text(chance);

const thrown: Make = (chance) =>
  chance.pick([
    new Error('hostile'),
    'text',
    undefined,
    null,
    Object.create(null),
    Symbol('hostile'),
    Object.assign(new Error('symbolic'), { message: Symbol('message') }),
    Object.assign(new Error('pretending'), { name: 'EventSessionsError' }),
  ]);

function deep(levels: number, array: boolean): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = array ? [value] : { a: value };
  return value;
}

function cycle(array: boolean): unknown {
  const value: Record<string, unknown> | unknown[] = array ? [] : {};
  if (Array.isArray(value)) value.push({ inner: value });
  else value.inner = [value];
  return value;
}

const primitive: Make = (chance) =>
  chance.pick<Make>([
    text,
    (c) => c.below(10) - 5,
    (c) => c.pick([0.1, 2 ** 31, 2 ** 53, Number.MAX_VALUE, -0, Number.NaN, Number.POSITIVE_INFINITY]),
    (c) => c.pick<unknown>([undefined, null, true, false, 1n, Symbol('s'), () => 1]),
  ])(chance);

const odd: Make = (chance) =>
  chance.pick<() => unknown>([
    () => new Date(chance.pick([0, Number.NaN, 8.64e15])),
    () => new Map([[1, 2]]),
    () => new Set('ab'),
    () => Buffer.from('bytes'),
    () => new BigInt64Array(2),
    () => Object.create(null),
    () => Object.create({ inherited: 1 }),
    () => JSON.parse('{"__proto__":{"polluted":true}}'),
    () => Promise.resolve(1),
    () => new Array(3),
    () => new Proxy([1, 2], {}),
    () => ({ length: 2 ** 32 - 1, 0: 'array-like' }),
    // biome-ignore lint/suspicious/noThenProperty: what looks like a promise must not be taken for one
    () => ({ then: chance.pick([1, () => {}]) }),
    () => deep(chance.pick([99, 100, 101, 5_000, 100_000]), chance.happens(0.5)),
    () => cycle(chance.happens(0.5)),
    () => 'é'.repeat(chance.pick([500, 524_000, 1_000_000])),
    () => Array.from({ length: chance.pick([10, 10_001]) }, (_, i) => i),
  ])();

/** Values that stay what they are: JSON, more often than not. */
export const steady: Make = (chance) => steadyWithin(chance, 4);

function steadyWithin(chance: Chance, levels: number): unknown {
  if (chance.happens(0.15)) return odd(chance);
  if (levels === 0 || chance.happens(0.4)) return primitive(chance);
  const members = chance.some(4, () => steadyWithin(chance, levels - 1));
  return chance.happens(0.5) ? members : Object.fromEntries(members.map((member) => [text(chance), member]));
}

/** Values whose reading throws, or that are something else each time they are read. */
export const treacherous: Make = (chance) => {
  const fail = () => {
    throw thrown(chance);
  };
  const values = [steady(chance), ...chance.some(2, () => steady(chance))];
  let reads = 0;
  const fickle = () => values[reads++ % values.length];
  return chance.pick<() => unknown>([
    () => ({ toJSON: fail }),
    () => ({ toJSON: fickle }),
    () => ({ toString: fail, valueOf: fail, [Symbol.toPrimitive]: fail }),
    () => Object.defineProperty({}, chance.pick(['x', 'type', 'sessionId']), { enumerable: true, get: fail }),
    () => Object.defineProperty({}, chance.pick(['x', 'data', 'events']), { enumerable: true, get: fickle }),
    () => Object.defineProperty([1], 0, { get: fail }),
    () => new Proxy({}, { ownKeys: fail }),
    () => new Proxy({}, { getPrototypeOf: fail }),
    () => new Proxy([{ type: 'a' }], { get: fail }),
    () => new Proxy({ x: 1 }, { get: fail }),
    () => {
      const { proxy, revoke } = Proxy.revocable<object>(chance.happens(0.5) ? [] : {}, {});
      revoke();
      return proxy;
    },
  ])();
};

/** Anything at all. */
export const anything: Make = (chance) =>
  chance.happens(0.25) ? treacherous(chance) : chance.happens(0.4) ? primitive(chance) : steady(chance);

/** An object with some of these members, most of them as they should be, and now and then something else altogether. */
export const mostly =
  (members: Readonly<Record<string, Make>>): Make =>
  (chance) => {
    if (chance.happens(0.1)) return anything(chance);
    const given: Record<string, unknown> = {};
    for (const [name, make] of Object.entries(members)) {
      if (chance.happens(0.7)) given[name] = (chance.happens(0.85) ? make : anything)(chance);
    }
    if (chance.happens(0.1)) given[text(chance)] = anything(chance);
    return given;
  };

/** One that is as it should be, mostly. */
export const usually =
  (make: Make): Make =>
  (chance) =>
    (chance.happens(0.85) ? make : anything)(chance);

export const several =
  (atMost: number, make: Make): Make =>
  (chance) =>
    chance.some(atMost, () => make(chance));

export const oneOf =
  (...values: readonly unknown[]): Make =>
  (chance) =>
    chance.pick(values);

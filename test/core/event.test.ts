import { CloudEvent, HTTP } from 'cloudevents';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AcceptEventConfig, createAcceptEvent, type EventInput } from '../../src/core/accept-event.js';
import { createCatalogue } from '../../src/core/catalogue.js';
import {
  dataOf,
  decodeEvent,
  type EnvelopeAttributes,
  encodeEnvelope,
  eventIdOf,
  hasSoundId,
  isEnvelope,
  SEQUENCE_BYTES,
  sizeWithSequence,
  traceparentOf,
  type Utf8Range,
  withSequence,
  writeWithSequence,
} from '../../src/core/event.js';

/** Its bytes, with others around them. */
function rangeOf(text: string): Utf8Range {
  const buffer = Buffer.from(`"${text}"`);
  return { buffer, start: 1, end: buffer.length - 1 };
}

const attributes = (change: Partial<EnvelopeAttributes> = {}): EnvelopeAttributes => ({
  id: 'e-1',
  source: '/shop/orders',
  type: 'order.placed',
  time: '2025-01-31T12:00:00.000Z',
  sessionId: 's-1',
  ...change,
});

async function accept(input: Partial<EventInput>, config: Partial<AcceptEventConfig> = {}): Promise<string> {
  const acceptEvent = createAcceptEvent({
    source: '/shop/orders',
    catalogue: createCatalogue(undefined),
    topic: () => 'orders',
    maxDepth: 100,
    maxEventBytes: 1_000_000,
    ...config,
  });
  return (await acceptEvent('s-1', { type: 'order.placed', data: null, ...input })).json;
}

/** As a consumer with the official SDK reads it: from the text, and from an HTTP request in structured mode. */
function readWithSdk(json: string): CloudEvent<unknown> {
  const body = withSequence(json, 7);
  const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body });
  expect((event as CloudEvent<unknown>).validate()).toBe(true);
  return new CloudEvent(JSON.parse(body), true);
}

// What could end a string, an attribute or the envelope too early if it were not escaped.
const NASTY = [
  '"',
  '\\',
  '\\"',
  '","data":1}',
  '"datacontenttype":"application/json","data":',
  ',"sequence":"0000000001"}',
  '\u2028\u2029',
  '\ud800',
  '\udfff\ud800',
  '💶',
  '\u0000\u001f\n\r\t',
  '\ufeff',
  '__proto__',
];
const nastyText = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...NASTY));
const nastyData = fc.oneof(
  fc.jsonValue({ stringUnit: 'binary' }),
  nastyText,
  fc.dictionary(nastyText, fc.oneof(nastyText, fc.jsonValue())),
);
const anyAttributes = fc.record({
  id: fc.stringMatching(/^[A-Za-z0-9_-]{1,128}$/),
  source: nastyText,
  type: nastyText,
  time: fc.constant('2025-01-31T12:00:00Z'),
  sessionId: fc.stringMatching(/^[A-Za-z0-9_-]{1,128}$/),
  subject: fc.option(nastyText, { nil: undefined }),
  extensions: fc.option(
    fc.dictionary(
      fc.stringMatching(/^x[a-z0-9]{1,10}$/),
      fc.oneof(nastyText, fc.boolean(), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
    ),
    { nil: undefined },
  ),
});

describe('an envelope', () => {
  test('says everything it was given, and the same whether it is parsed or taken apart as text', () => {
    fc.assert(
      fc.property(
        anyAttributes,
        nastyData,
        fc.integer({ min: 1, max: 9_999_999_999 }),
        (given, data, sequence) => {
          const json = encodeEnvelope(given, JSON.stringify(data));
          const { id, source, type, time, sessionId, subject, extensions } = given;
          const expected = {
            specversion: '1.0',
            id,
            source,
            type,
            time,
            sessionid: sessionId,
            ...(subject === undefined ? {} : { subject }),
            ...extensions,
            datacontenttype: 'application/json',
            data: JSON.parse(JSON.stringify(data)),
          };
          expect(JSON.parse(json)).toEqual(expected);
          expect(eventIdOf(json)).toBe(id);
          const utf8 = rangeOf(json);
          expect(eventIdOf(utf8)).toBe(id);
          expect([isEnvelope(json), isEnvelope(utf8)]).toEqual([true, true]);
          expect(dataOf(json)).toBe(JSON.stringify(data));
          const complete = { ...expected, sequence: String(sequence).padStart(10, '0') };
          expect(JSON.parse(withSequence(json, sequence))).toEqual(complete);
          expect(decodeEvent({ topic: 't', sequence, json })).toEqual(complete);
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each(NASTY)('keeps its data apart from an attribute that reads %j', (text) => {
    const json = encodeEnvelope(
      attributes({ source: text, type: text, subject: text, extensions: { trace: text } }),
      JSON.stringify({ [text]: text }),
    );
    expect(dataOf(json)).toBe(JSON.stringify({ [text]: text }));
    expect(eventIdOf(json)).toBe('e-1');
    expect(decodeEvent({ topic: 't', sequence: 1, json })).toMatchObject({
      source: text,
      type: text,
      subject: text,
      trace: text,
    });
  });

  test.each([
    '',
    '{}',
    '{"specversion":"1.0","id":"',
    '{"specversion":"1.0","id":"e-1"',
    '["specversion":"1.0","id":"e-1"}',
  ])('is told from what is none, as text and as bytes: %s', (text) => {
    expect([isEnvelope(text), isEnvelope(rangeOf(text))]).toEqual([false, false]);
  });

  test.each([
    ['e-1', true],
    ['_'.repeat(128), true],
    ['-'.repeat(129), false],
    ['', false],
    ['e 1', false],
    ['é', false],
  ])('has an id that keeps to the rules, or not, as text and as bytes: %j', (id, isSound) => {
    const json = `{"specversion":"1.0","id":"${id}","data":null}`;
    expect([hasSoundId(json), hasSoundId(rangeOf(json))]).toEqual([isSound, isSound]);
  });

  test('has an id of the same characters as text and as bytes', () => {
    for (let code = 0; code < 128; code += 1) {
      const json = `{"specversion":"1.0","id":"e${String.fromCharCode(code)}","data":null}`;
      expect(hasSoundId(rangeOf(json)), json).toBe(hasSoundId(json));
    }
  });

  test('has no id beyond its end, as bytes', () => {
    expect(eventIdOf(rangeOf('{"specversion":"1.0","id":"e-1}'))).toBe('e-1}');
  });

  test('grows by exactly SEQUENCE_BYTES when it gets its sequence', () => {
    const json = encodeEnvelope(attributes(), '"€"');
    for (const sequence of [1, 99_999, 9_999_999_999]) {
      expect(Buffer.byteLength(withSequence(json, sequence)) - Buffer.byteLength(json)).toBe(SEQUENCE_BYTES);
    }
  });

  test('has a sequence that sorts as text as it does as a number', () => {
    const position = fc.integer({ min: 1, max: 9_999_999_999 });
    const json = encodeEnvelope(attributes(), 'null');
    const sequenceOf = (sequence: number) => decodeEvent({ topic: 't', sequence, json }).sequence;
    fc.assert(
      fc.property(position, position, (a, b) => {
        expect(sequenceOf(a) < sequenceOf(b)).toBe(a < b);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the CloudEvents SDK accepts', () => {
  test('an event with nothing but type and data, and reads what was added', async () => {
    const event = readWithSdk(await accept({ id: 'e-1', data: { total: 42 } }));
    expect(event).toMatchObject({
      specversion: '1.0',
      id: 'e-1',
      source: '/shop/orders',
      type: 'order.placed',
      datacontenttype: 'application/json',
      data: { total: 42 },
      sessionid: 's-1',
      sequence: '0000000007',
    });
    expect(event.subject).toBeUndefined();
  });

  test('an event with every option', async () => {
    const event = readWithSdk(
      await accept({
        subject: 'o-1 "€" 💶',
        time: '2025-01-31T12:00:00.123+01:00',
        extensions: { traceparent: '00-ab-cd-01', attempt: 3, replayed: false, x: 'x'.repeat(1024) },
      }),
    );
    expect(event).toMatchObject({
      subject: 'o-1 "€" 💶',
      time: '2025-01-31T12:00:00.123+01:00',
      traceparent: '00-ab-cd-01',
      attempt: 3,
      replayed: false,
    });
  });

  test.each([
    new Date(0),
    new Date('9999-12-31T23:59:59.999Z'),
    '2024-02-29T23:59:59Z',
    '2025-01-31T12:00:00.123456789Z',
    '2025-01-31T12:00:00-23:59',
    '2025-01-31t12:00:00z',
  ])('the time %s', async (time) => {
    expect(readWithSdk(await accept({ time })).time).toBe(time instanceof Date ? time.toISOString() : time);
  });

  test('any data', async () => {
    const data = nastyData.filter((value) => !JSON.stringify(value).includes('"__proto__":'));
    await fc.assert(
      fc.asyncProperty(data, async (value) => {
        expect(readWithSdk(await accept({ data: value })).data).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 100 },
    );
  });

  test('any subject, type and extension that is let in', async () => {
    const text = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((one) => /^\P{Cc}+$/u.test(one));
    const value = fc.oneof(text, fc.boolean(), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    const name = fc.stringMatching(/^x[a-z0-9]{0,19}$/);
    await fc.assert(
      fc.asyncProperty(text, text, fc.dictionary(name, value), async (subject, type, extensions) => {
        const event = readWithSdk(await accept({ subject, type, extensions }));
        expect(event).toMatchObject({ subject, type, ...extensions });
      }),
      { numRuns: 100 },
    );
  });
});

test('bytes with the sequence are those of the text with the sequence, from text and from bytes', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.integer({ min: 1, max: 9_999_999_999 }),
      (text, sequence) => {
        const json = encodeEnvelope(attributes(), JSON.stringify(text));
        const expected = Buffer.from(withSequence(json, sequence));
        const around = Buffer.from(`before ${json} behind`);
        const utf8 = { buffer: around, start: 7, end: 7 + Buffer.byteLength(json) };
        for (const event of [
          { topic: 't', sequence, json },
          { topic: 't', sequence, json: 'not looked at', utf8 },
        ]) {
          expect(sizeWithSequence(event)).toBe(expected.length);
          const target = Buffer.alloc(expected.length + 10, '.');
          expect(writeWithSequence(event, target, 5)).toBe(expected.length + 5);
          expect(target.toString()).toBe(`.....${expected}.....`);
        }
      },
    ),
  );
});

describe('the traceparent of an event', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const data = JSON.stringify({ a: 1, traceparent });
  /** As text, and as bytes between those of others. */
  const both = (json: string) => {
    const buffer = Buffer.from(`ä${json}ä,"traceparent":"${traceparent}"`);
    const utf8 = { buffer, start: 2, end: 2 + Buffer.byteLength(json) };
    return [
      { topic: 't', sequence: 1, json },
      { topic: 't', sequence: 1, json, utf8 },
    ];
  };

  test.each([
    ['alone', { traceparent }, traceparent],
    ['behind others', { a: `x","traceparent":"${traceparent}`, traceparent, z: 1 }, traceparent],
    ['only in the data', {}, undefined],
    ['in another value', { a: `,"traceparent":"${traceparent}"` }, undefined],
    ['of another form', { traceparent: `${traceparent}-more` }, undefined],
    ['of a version that there can not be', { traceparent: `ff${traceparent.slice(2)}` }, undefined],
  ])('%s', (_, extensions, expected) => {
    const json = encodeEnvelope(attributes({ subject: ',"traceparent":"ä', extensions }), data);
    expect(both(json).map(traceparentOf)).toEqual([expected, expected]);
  });
});

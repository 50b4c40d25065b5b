import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withChecksum } from '../../../src/adapters/file/checksum.js';
import { MAX_LINE_BYTES } from '../../../src/adapters/file/lines.js';
import {
  decodeRecord,
  encodeQuarantined,
  encodeRecord,
  textOf,
} from '../../../src/adapters/file/record-line.js';
import { withoutBytes } from '../../../src/contingency/without-bytes.js';
import type { ContingencyRecord } from '../../../src/ports/contingency-log.js';
import { added } from './support/log-files.js';

const lineOf = (record: ContingencyRecord) => encodeRecord(record).subarray(1, -1);
const roundTrip = (record: ContingencyRecord) => {
  const decoded = decodeRecord(lineOf(record));
  return 'record' in decoded ? withoutBytes(decoded.record) : decoded;
};

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\ud800', '\u2028\n', ',"event":{', ',"crc":"00000000"}', '__proto__'),
);
/** Objects as JSON.stringify writes them. */
const json = fc
  .dictionary(text, fc.jsonValue({ stringUnit: 'binary' }))
  .map((value) => JSON.stringify(value));
const sessionId = fc.stringMatching(/^[A-Za-z0-9_-]{1,128}$/);
const at = fc.nat();
const record: fc.Arbitrary<ContingencyRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('session.started' as const),
    sessionId,
    at,
    metadata: json,
    ttlMs: fc.nat(),
  }),
  fc.record({ kind: fc.constant('event.added' as const), sessionId, at, topic: text, event: json }),
  fc.record({
    kind: fc.constant('event.unpublished' as const),
    sessionId,
    at,
    topic: text,
    sequence: fc.nat(),
    event: json,
  }),
  fc.record(
    {
      kind: fc.constant('session.commit_requested' as const),
      sessionId,
      at,
      attemptId: sessionId,
      begun: fc.constant(true as const),
      expectedEvents: fc.nat(),
    },
    { requiredKeys: ['kind', 'sessionId', 'at', 'attemptId'] },
  ),
  fc.record(
    { kind: fc.constant('session.rollback_requested' as const), sessionId, at, reason: text },
    { requiredKeys: ['kind', 'sessionId', 'at'] },
  ),
);

describe('a record as a line', () => {
  it('comes back as it was', () => {
    const property = fc.property(record, (value) => {
      expect(roundTrip(value)).toEqual({ ...value });
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it('is one line with a newline on both sides, and embeds events and metadata as objects', () => {
    fc.assert(
      fc.property(record, (value) => {
        const line = encodeRecord(value).toString('utf8');
        expect(line.match(/\n/g)).toHaveLength(2);
        expect(line.startsWith('\n') && line.endsWith('\n')).toBe(true);
        const fields = JSON.parse(line);
        for (const name of ['event', 'metadata'])
          expect(['object', 'undefined']).toContain(typeof fields[name]);
      }),
    );
  });

  it.each([
    ['white space', '{ "b" : 1,\t"a": [1, 2] }'],
    ['raw newlines', '{\n  "a": 1\n}'],
    ['keys that would move', '{"b":1,"10":2,"9":3}'],
    ['the same key twice', '{"a":1,"a":2}'],
    ['numbers that would change', '{"a":1.0,"b":1e400,"c":12345678901234567890}'],
    ['a raw lone surrogate', '{"a":"\ud800"}'],
    ['not an object', '[1]'],
    ['not JSON', '{"a":'],
    ['nothing', ''],
  ])('keeps any text of an event: %s', (_, event) => {
    expect(roundTrip({ ...added('0'), event })).toEqual({ ...added('0'), event });
  });

  it('is never longer than the reader takes', () => {
    const fits = added('0', { text: 'x'.repeat(MAX_LINE_BYTES - 300) });
    expect(roundTrip(fits)).toEqual(fits);
    expect(() => encodeRecord(added('0', { text: 'x'.repeat(MAX_LINE_BYTES) }))).toThrow(/longer than/);
  });

  it('with one bit flipped is never taken for a record', () => {
    const line = lineOf(added('e-1', { text: 'é\u2028"\\' }));
    for (let byte = 0; byte < line.length; byte += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const damaged = Buffer.from(line);
        damaged[byte] = (damaged[byte] ?? 0) ^ (1 << bit);
        const before = Buffer.from(damaged);
        expect(decodeRecord(damaged)).toEqual({ reason: expect.any(String) });
        expect(damaged.equals(before)).toBe(true);
      }
    }
  });

  it('with some bytes missing at its end is never taken for a record', () => {
    const line = lineOf(added('e-1'));
    for (let length = 0; length < line.length; length += 1) {
      expect(decodeRecord(line.subarray(0, length))).toEqual({ reason: expect.any(String) });
    }
  });

  it.each([
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{"v":2,"kind":"event.added"}', 'unknown version 2'],
    ['{"kind":"event.added"}', 'unknown version undefined'],
    ['{"v":1,"kind":"event.added"}', 'the checksum does not match'],
  ])('is refused when it is %s', (line, reason) => {
    expect(decodeRecord(Buffer.from(line))).toEqual({ reason });
  });

  it.each([
    ['a kind of a later version', { kind: 'session.paused' }, 'unknown kind "session.paused"'],
    ['a wrong type', { topic: 5 }, 'topic: missing or of the wrong type'],
    ['a missing field', { sessionId: undefined }, 'sessionId: missing or of the wrong type'],
  ])('is refused with %s although its checksum is right', (_, change, reason) => {
    const body = JSON.stringify({ v: 1, ...added('0'), event: {}, ...change });
    expect(decodeRecord(Buffer.from(withChecksum(body)))).toEqual({ reason });
  });

  it.each([
    ['as it is written', '"at":1,"topic":"t","sequence":7', { utf8: true }],
    ['with an outcome', '"at":1,"topic":"t","sequence":7,"outcome":"unknown"', { utf8: true }],
    ['with white space', '"at": 1,"topic":"t","sequence":7', {}],
    ['in another order', '"topic":"t","at":1,"sequence":7', {}],
    ['with an escape', '"at":1,"topic":"\\u0074","sequence":7', {}],
    ['with what is not ASCII', '"at":1,"topic":"té","sequence":7', {}],
    ['with a fraction', '"at":1.5,"topic":"t","sequence":7', {}],
    ['with a number below 0', '"at":-1,"topic":"t","sequence":7', {}],
    [
      'with the longest number that is read by hand',
      '"at":123456789012345,"topic":"t","sequence":7',
      { utf8: true },
    ],
    ['with a longer number', '"at":1234567890123456,"topic":"t","sequence":7', {}],
    ['with the longest word', `"at":1,"topic":"${'t'.repeat(128)}","sequence":7`, { utf8: true }],
    ['with a longer word', `"at":1,"topic":"${'t'.repeat(129)}","sequence":7`, {}],
    ['with an empty word', '"at":1,"topic":"","sequence":7', { utf8: true }],
    ['with a number too long to count', '"at":12345678901234567,"topic":"t","sequence":7', {}],
    ['with another member', '"at":1,"x":1,"topic":"t","sequence":7', {}],
  ])('of an event means what its JSON says, %s', (_, head, { utf8 = false }: { utf8?: boolean }) => {
    const { event } = added('e-1', { text: 'é' });
    const start = `{"v":1,"kind":"event.unpublished","sessionId":"s-1",${head}`;
    const { v: _v, x: _x, ...fields } = JSON.parse(`${start}}`);
    const decoded = decodeRecord(Buffer.from(withChecksum(`${start},"event":${event}}`)));
    if (!('record' in decoded)) throw new Error(decoded.reason);
    expect(withoutBytes(decoded.record)).toEqual({ ...fields, event });
    expect('utf8' in decoded.record).toBe(utf8);
  });

  it('of an event has its own session and topic, whatever those of the line before', () => {
    for (const name of ['a', 'ab', 'a', '', 'abc', 'bc', 'ab']) {
      const record = { ...added('e-1'), sessionId: name, topic: `${name}t` };
      expect(roundTrip(record)).toEqual(record);
    }
  });

  it.each([
    ['a number with a zero in front', '"at":01,"topic":"t"', 'not JSON'],
    ['a number that is none', '"at":,"topic":"t"', 'not JSON'],
    ['a part that is none', '"at":1,"part":0,"parts":2,"topic":"t"', 'part: expected a number up to parts'],
    [
      'a part behind the last',
      '"at":1,"part":3,"parts":2,"topic":"t"',
      'part: expected a number up to parts',
    ],
    ['a raw control character', '"at":1,"topic":"\t"', 'not JSON'],
    ['a time that is text', '"at":"1","topic":"t"', 'at: missing or of the wrong type'],
  ])('of an event is refused with %s', (_, head, reason) => {
    const line = withChecksum(`{"v":1,"kind":"event.added","sessionId":"s-1",${head},"event":{}}`);
    expect(decodeRecord(Buffer.from(line))).toEqual({ reason });
  });

  it('is refused with a kind that is nested too deep to be told', () => {
    const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
    const line = withChecksum(`{"v":1,"kind":${deep},"sessionId":"s-1","at":1}`);
    expect(decodeRecord(Buffer.from(line))).toEqual({ reason: 'unknown kind an array of 1' });
  });

  it('keeps of fields only those of its kind, and can be written again', () => {
    const record = { kind: 'session.rollback_requested', sessionId: 's-1', at: 1 } as const;
    const line = withChecksum(JSON.stringify({ v: 1, ...record, event: { id: 'e' }, x: [1] }));
    const decoded = decodeRecord(Buffer.from(line));
    expect(decoded).toEqual({ record, part: 1, parts: 1 });
    expect(decodeRecord(lineOf(record))).toEqual(decoded);
  });
});

describe('quarantine', () => {
  it('keeps bytes that are not text', () => {
    const bytes = Buffer.from([0x7b, 0xff, 0xfe]);
    expect(textOf(bytes)).toBe('base64:e//+');
    const line = JSON.parse(
      encodeQuarantined({ unreadable: textOf(bytes), reason: 'not JSON' }, 5).toString(),
    );
    expect(line).toEqual({ v: 1, at: 5, reason: 'not JSON', unreadable: 'base64:e//+' });
  });
});

import { encodeRecord } from '../../../../src/adapters/file/record-line.js';
import type { ContingencyRecord } from '../../../../src/ports/contingency-log.js';
import { added, idOf } from './log-files.js';

/** An event whose JSON has raw newlines, so that it stands in its line as a JSON string. */
const embeddedText = (id: string) => ({
  ...added(id),
  event: `{"specversion":"1.0","id":"${id}",\n"data":"é\\n\\"🙂\\""\n}`,
});

/**
 * Six appends, of 1, 3, 1, 2, 1 and 1 records: with multi-byte text, escapes that look like the format's own, an
 * event embedded as a string, and a record of another kind.
 */
export const APPENDS: readonly (readonly ContingencyRecord[])[] = [
  [added('a', { text: 'é \u2028 🙂 日本' })],
  [added('b1'), added('b2', { text: '"}\\n,"crc":"00000000"}' }), added('b3')],
  [embeddedText('c')],
  [added('d1', { text: '{"nested":"json"}' }), embeddedText('d2')],
  [{ kind: 'session.started', sessionId: 's-1', at: 1, metadata: '{"user":"Zoë"}', ttlMs: 86_400_000 }],
  [added('e')],
];

export const LINES = APPENDS.flatMap((records) =>
  records.map((record, i) => ({
    id: idOf({ record }),
    record,
    bytes: encodeRecord(record, i + 1, records.length),
  })),
);
export const SAMPLE = Buffer.concat(LINES.map(({ bytes }) => bytes));
export const IDS = LINES.map(({ id }) => id);

/** The id of the record that a byte of the sample belongs to, newlines included. */
export function idAt(offset: number): string | undefined {
  let end = 0;
  return LINES.find(({ bytes }) => {
    end += bytes.length;
    return offset < end;
  })?.id;
}

export function withBitFlipped(byte: number, bit: number): Buffer {
  const damaged = Buffer.from(SAMPLE);
  damaged[byte] = (damaged[byte] ?? 0) ^ (1 << bit);
  return damaged;
}

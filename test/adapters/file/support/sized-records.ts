import { crc32 } from 'node:zlib';
import type { EventAddedRecord } from '../../../../src/ports/contingency-log.js';
import { randomFrom } from '../../../support/random.js';
import { added } from './log-files.js';

const MIB = 1024 ** 2;
const PIECES = ['abcdefghij', 'é日本🙂', '"\\/\\u0000', '\n\t', '{"crc":"00000000"}', ' '.repeat(10)];

/** The record of this id: always the same, of up to about 1 MiB, as often small as large. */
export function sizedRecord(id: string): EventAddedRecord {
  const random = randomFrom(crc32(id));
  const bytes = MIB ** random();
  const seen = Array.from({ length: 20 }, () => PIECES[Math.floor(random() * PIECES.length)]).join('');
  const bytesOnce = Buffer.byteLength(JSON.stringify(seen));
  const text = seen.repeat(Math.ceil(bytes / bytesOnce)).slice(0, -1 - Math.floor(random() * seen.length));
  return added(id, { text });
}

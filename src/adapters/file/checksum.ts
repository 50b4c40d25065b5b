import { crc32 } from 'node:zlib';

/**
 * How every line of ours ends: `,"crc":"1c291ca3"}`, the CRC-32 of the object without this member, in eight hexadecimal
 * digits.
 */
export const CRC_MEMBER = ',"crc":"........"}';

const BEFORE_DIGITS = Buffer.from(',"crc":"');
const DIGITS = 8;
const BRACE = 0x7d;
const HEX = Buffer.from('0123456789abcdef');

/** The JSON object with one more member, `crc`. */
export function withChecksum(object: string): string {
  return checkedLine(object.slice(0, -1)).toString('utf8').trim();
}

/** The same of an object without its last brace, as a line in UTF-8, with a newline on both sides. */
export function checkedLine(unclosed: string): Buffer {
  const line = Buffer.from(`\n${unclosed}${CRC_MEMBER}\n`);
  const end = line.length - 1 - CRC_MEMBER.length;
  const crc = checksumOf(line, 1, end);
  const digits = end + BEFORE_DIGITS.length;
  for (let i = 0; i < DIGITS; i += 1) line[digits + i] = digitOf(crc, i);
  return line;
}

/** Whether the line, without its newline, has its `crc`, and that is right. */
export function isIntact(line: Buffer): boolean {
  const end = line.length - CRC_MEMBER.length;
  if (end < 0 || line[line.length - 1] !== BRACE || line[line.length - 2] !== QUOTE) return false;
  for (let i = 0; i < BEFORE_DIGITS.length; i += 1) if (line[end + i] !== BEFORE_DIGITS[i]) return false;
  const crc = checksumOf(line, 0, end);
  for (let i = 0; i < DIGITS; i += 1)
    if (line[end + BEFORE_DIGITS.length + i] !== digitOf(crc, i)) return false;
  return true;
}

/** The members of the object; none if its checksum is not right. */
export function checkedMembers(line: string | Buffer): Readonly<Record<string, unknown>> {
  const bytes = typeof line === 'string' ? Buffer.from(line) : line;
  try {
    return isIntact(bytes) ? JSON.parse(bytes.toString('utf8')) : {};
  } catch {
    return {};
  }
}

/** Of the object between `start` and `end`, where the member `crc` stands in the place of its last brace. */
function checksumOf(line: Buffer, start: number, end: number): number {
  const comma = line[end] as number;
  line[end] = BRACE;
  const crc = crc32(new Uint8Array(line.buffer, line.byteOffset + start, end + 1 - start));
  line[end] = comma;
  return crc;
}

const QUOTE = 0x22;

/** The hexadecimal digit at that place, in lower case, the highest at 0. */
const digitOf = (crc: number, place: number) => HEX[(crc >>> (4 * (DIGITS - 1 - place))) & 15] as number;

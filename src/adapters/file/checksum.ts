import { crc32 } from 'node:zlib';

/**
 * How every line of ours ends: `,"crc":"1c291ca3"}`, the CRC-32 of the object without this member, in eight hexadecimal
 * digits.
 */
export const CRC_MEMBER = ',"crc":"........"}';

const BEFORE_DIGITS = Buffer.from(',"crc":"');
const DIGITS = 8;
const BRACE = Buffer.from('}');
const MEMBER = Buffer.from(`${CRC_MEMBER}\n`);
const HEX = Buffer.from('0123456789abcdef');
const NEWLINE = 0x0a;

/** The JSON object with one more member, `crc`. */
export function withChecksum(object: string): string {
  return checkedLine(object).toString('utf8').trim();
}

/** The same as a line in UTF-8, with a newline on both sides. */
export function checkedLine(object: string): Buffer {
  const line = Buffer.allocUnsafe(Buffer.byteLength(object) - 1 + CHECKED_LINE_BYTES);
  writeCheckedLine(line, 0, object.slice(0, -1), '');
  return line;
}

/** Bytes that {@link writeCheckedLine} writes beside what it is given. */
export const CHECKED_LINE_BYTES = 1 + CRC_MEMBER.length + 1;

/**
 * {@link checkedLine} into `target`, of an object that is given without its last brace, in two pieces. Answers the
 * position behind it.
 */
export function writeCheckedLine(target: Buffer, at: number, head: string, rest: string): number {
  target[at] = NEWLINE;
  const start = at + 1;
  const body = start + target.write(head, start);
  const brace = body + target.write(rest, body);
  target.set(BRACE, brace);
  const crc = crc32(target.subarray(start, brace + 1));
  target.set(MEMBER, brace);
  const digits = brace + BEFORE_DIGITS.length;
  for (let i = 0; i < DIGITS; i += 1) target[digits + i] = HEX[(crc >>> (28 - 4 * i)) & 15] as number;
  return brace + MEMBER.length;
}

/** Whether the line, without its newline, has its `crc`, and that is right. */
export function isIntact(line: Buffer): boolean {
  const end = line.length - CRC_MEMBER.length;
  if (end < 0 || line[line.length - 1] !== BRACE[0] || line[line.length - 2] !== QUOTE) return false;
  for (let i = 0; i < BEFORE_DIGITS.length; i += 1) if (line[end + i] !== BEFORE_DIGITS[i]) return false;
  const crc = checksumOfObject(line, end);
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

/** Of the object that the line is up to `end`, where the member `crc` stands in the place of its last brace. */
function checksumOfObject(line: Buffer, end: number): number {
  const comma = line[end] as number;
  line[end] = BRACE[0] as number;
  const crc = crc32(line.subarray(0, end + 1));
  line[end] = comma;
  return crc;
}

const QUOTE = 0x22;

/** The hexadecimal digit at that place, in lower case, the highest at 0. */
const digitOf = (crc: number, place: number) => HEX[(crc >>> (4 * (DIGITS - 1 - place))) & 15] as number;

import { crc32 } from 'node:zlib';

/**
 * How every line of ours ends: `,"crc":"1c291ca3"}`, the CRC-32 of the object without this member, in eight hexadecimal
 * digits.
 */
export const CRC_MEMBER = ',"crc":"........"}';

const BEFORE_DIGITS = Buffer.from(',"crc":"');
const DIGITS = 8;
const BRACE = Buffer.from('}');

/** The JSON object with one more member, `crc`. */
export function withChecksum(object: string): string {
  return `${object.slice(0, -1)},"crc":"${hex(crc32(object))}"}`;
}

/** The same as a line in UTF-8, with a newline on both sides. */
export function checkedLine(object: string): Buffer {
  const line = Buffer.from(`\n${object}${CRC_MEMBER}`);
  const brace = line.length - 1 - CRC_MEMBER.length;
  const crc = hex(crc32(line.subarray(1, brace + 1)));
  line.write(`,"crc":"${crc}"}\n`, brace, 'latin1');
  return line;
}

/** Whether the line, without its newline, has its `crc`, and that is right. */
export function isIntact(line: Buffer): boolean {
  const end = line.length - CRC_MEMBER.length;
  if (end < 0 || line[line.length - 1] !== BRACE[0] || line[line.length - 2] !== QUOTE) return false;
  for (let i = 0; i < BEFORE_DIGITS.length; i += 1) if (line[end + i] !== BEFORE_DIGITS[i]) return false;
  let crc = 0;
  for (let i = 0; i < DIGITS; i += 1)
    crc = crc * 16 + digitOf(line[end + BEFORE_DIGITS.length + i] as number);
  return crc === checksumOf(line.subarray(0, end));
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

/** Of the object that these bytes are without its last brace. */
const checksumOf = (bytes: Buffer) => crc32(BRACE, crc32(bytes));

const hex = (crc: number) => crc.toString(16).padStart(DIGITS, '0');

const QUOTE = 0x22;

/** Of a lower-case hexadecimal digit; NaN if it is none. */
function digitOf(character: number): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  return character >= 0x61 && character <= 0x66 ? character - 0x57 : Number.NaN;
}

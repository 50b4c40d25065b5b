import { crc32 } from 'node:zlib';

/** `,"crc":"` + 8 digits + `"}`: how every line of ours ends. */
export const CRC_MEMBER = ',"crc":"........"}';

/** The JSON object with one more member, `crc`: the CRC-32 of its text without it, in eight hexadecimal digits. */
export function withChecksum(object: string): string {
  return `${object.slice(0, -1)},"crc":"${hex(crc32(object))}"}`;
}

/** The text of the object without its `crc`, if that is there and right. */
export function withoutChecksum(line: string | Buffer): string | undefined {
  const bytes = typeof line === 'string' ? Buffer.from(line) : line;
  const end = bytes.length - CRC_MEMBER.length;
  if (end < 0) return undefined;
  const crc = hex(crc32('}', crc32(bytes.subarray(0, end))));
  if (bytes.toString('latin1', end) !== `,"crc":"${crc}"}`) return undefined;
  return `${bytes.toString('utf8', 0, end)}}`;
}

/** The members of the object, but for `crc`; none if that is not right. */
export function checkedMembers(line: string | Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(withoutChecksum(line) ?? '{}');
  } catch {
    return {};
  }
}

const hex = (crc: number) => crc.toString(16).padStart(8, '0');

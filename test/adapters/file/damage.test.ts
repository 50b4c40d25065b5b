import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { encodeRecord } from '../../../src/adapters/file/record-line.js';
import { wholeAppends } from '../../../src/adapters/file/whole-appends.js';
import type { SealedEntry } from '../../../src/ports/contingency-log.js';
import { APPENDS, IDS, idAt, LINES, SAMPLE, withBitFlipped } from './support/damage-sample.js';
import { added, entriesOf, idOf, inFolder } from './support/log-files.js';

/** What a reader makes of the bytes; the file around it is tested elsewhere. */
function read(bytes: Buffer): SealedEntry[] {
  const appends = wholeAppends();
  let start = 0;
  for (;;) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    const form = newline === -1 ? 'torn' : 'whole';
    if (end > start) appends.add({ bytes: bytes.subarray(start, end), end, form }, start);
    if (newline === -1) break;
    start = newline + 1;
  }
  appends.end();
  return appends.known();
}

const readableIds = (entries: readonly SealedEntry[]) =>
  entries.filter((entry) => 'record' in entry).map(idOf);

describe('damage', () => {
  it('of one bit, anywhere, hides at most the record it is in', () => {
    for (let byte = 0; byte < SAMPLE.length; byte += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const lost = idAt(byte);
        const found = readableIds(read(withBitFlipped(byte, bit)));
        if (found.length !== IDS.length) expect(found).toEqual(IDS.filter((id) => id !== lost));
        else expect(found).toEqual(IDS);
      }
    }
  });

  it('of one bit shows the damaged line as unreadable', () => {
    for (let byte = 1; byte < SAMPLE.length; byte += 1) {
      if (SAMPLE[byte] === 0x0a) continue;
      const unreadable = read(withBitFlipped(byte, 0)).filter((entry) => 'unreadable' in entry);
      expect(unreadable).toHaveLength(1);
    }
  });

  it('by truncation hides the append it is in, and none before', () => {
    let before: string[] = [];
    let offset = 0;
    for (const records of APPENDS) {
      const ids = records.map((record) => idOf({ record }));
      const bytes = LINES.filter(({ id }) => ids.includes(id)).reduce(
        (sum, line) => sum + line.bytes.length,
        0,
      );
      // The last newline may be missing: the record is complete without it.
      for (let length = 0; length < bytes - 1; length += 1) {
        const entries = read(SAMPLE.subarray(0, offset + length));
        expect(readableIds(entries)).toEqual(before);
        if (length > 1) expect(entries.length).toBeGreaterThan(before.length);
      }
      offset += bytes;
      before = [...before, ...ids];
    }
    expect(before).toEqual(IDS);
  });

  it('by a cut in the middle of an append of several hides that append only, whatever comes behind', () => {
    const together = LINES.slice(1, 4).map(({ bytes }) => bytes);
    const torn = Buffer.concat(together);
    const whole = Buffer.concat(together.slice(0, -1)).length + (together.at(-1)?.length ?? 0) - 1;
    for (let length = 0; length < whole; length += 1) {
      const again = readableIds(read(Buffer.concat([torn.subarray(0, length), SAMPLE])));
      expect(again).toEqual(IDS);
      const single = readableIds(read(Buffer.concat([torn.subarray(0, length), encodeRecord(added('z'))])));
      expect(single).toEqual(['z']);
    }
  });

  it('of several parts of an append hides only these', () => {
    const ids = Array.from({ length: 6 }, (_, i) => `p${i}`);
    for (let mask = 0; mask < 63; mask += 1) {
      const lines = ids.map((id, i) => {
        const line = encodeRecord(added(id), i + 1, ids.length);
        if (mask & (1 << i)) line[20] = 0x00;
        return line;
      });
      const bytes = Buffer.concat([...lines, encodeRecord(added('z'))]);
      expect(readableIds(read(bytes))).toEqual([...ids.filter((_, i) => !(mask & (1 << i))), 'z']);
    }
  });

  it('in a file comes as unreadable entries in their place, again at each read', async () => {
    await inFolder(async (_, path) => {
      const damaged = Buffer.from(SAMPLE);
      damaged[(LINES[0]?.bytes.length ?? 0) + 30] = 0xff;
      await writeFile(path, Buffer.concat([damaged, Buffer.from('\n{"v":1,"torn')]));
      const log = fileContingency({ path });
      const entries = await entriesOf(log);
      expect(entries.map(idOf)).toEqual([
        'a',
        'unreadable: the checksum does not match',
        'b2',
        'b3',
        'c',
        'd1',
        'd2',
        'session.started',
        'e',
        'unreadable: not JSON',
      ]);
      expect(entries[1]).toMatchObject({ unreadable: expect.stringMatching(/^base64:/) });
      expect(entries.at(-1)).toMatchObject({ unreadable: '{"v":1,"torn' });
      await log.close();
    });
  });
});

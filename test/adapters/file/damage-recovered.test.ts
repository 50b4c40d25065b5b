import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createEventSessions, memoryStore, type RecoveryReport } from 'event-sessions';
import { describe, expect, it } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { textOf } from '../../../src/adapters/file/record-line.js';
import { APPENDS, IDS, idAt, LINES, SAMPLE, withBitFlipped } from './support/damage-sample.js';
import { idOf, inFolder } from './support/log-files.js';

interface Recovered {
  readonly report: RecoveryReport;
  /** Ids of the events in the session, in order. */
  readonly ids: readonly string[];
  readonly quarantined: readonly { unreadable?: string; record?: unknown; reason: string }[];
}

/** What a recovery makes of a log with these bytes; the session that the events belong to is in the store. */
async function recovered(folder: string, bytes: Buffer): Promise<Recovered> {
  await mkdir(folder);
  const path = join(folder, 'log.jsonl');
  await writeFile(path, bytes);
  const store = memoryStore();
  await store.start({ sessionId: 's-1', metadata: '{}', ttlMs: 3_600_000, cause: { instance: 'test' } });
  const sessions = createEventSessions({
    store,
    contingency: fileContingency({ path, fsync: 'never' }),
    recovery: false,
    logger: false,
  });
  const report = await sessions.recover();
  const events = await store.read('s-1', { after: 0, limit: 100, maxBytes: Number.MAX_SAFE_INTEGER });
  await sessions.close();
  const lines = await readFile(`${path}.quarantine.jsonl`, 'utf8').catch(() => '');
  return {
    report,
    ids: events.map(({ json }) => (JSON.parse(json) as { id: string }).id),
    quarantined: lines
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
  };
}

const EVENTS = IDS.filter((id) => id !== 'session.started');
const AT_ONCE = 48;

/** Does the work for every byte of the sample, many at once. */
async function everywhere(work: (byte: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let byte = next++; byte < SAMPLE.length; byte = next++) await work(byte);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

describe('recovery of a file that is damaged', () => {
  // A bit for each byte here; all bits of every byte are flipped in damage.test.ts, without files.
  it('in one bit, at any byte, quarantines the record it is in and brings all others back in order', async () => {
    await inFolder(async (folder) => {
      const bits = new Set<number>();
      await everywhere(async (byte) => {
        const bit = (byte * 5 + (byte >> 3)) % 8;
        bits.add(bit);
        const damaged = withBitFlipped(byte, bit);
        const { ids, quarantined, report } = await recovered(join(folder, `${byte}`), damaged);
        const lost = idAt(byte);
        const where = `bit ${bit} of byte ${byte}, in ${lost}`;
        expect(report, where).toMatchObject({ remaining: 0, quarantined: quarantined.length });
        // A newline too few or a byte too many between two lines may cost nobody anything.
        if (quarantined.length === 0) {
          expect(SAMPLE[byte], where).toBe(0x0a);
          expect(ids, where).toEqual(EVENTS);
          return;
        }
        expect(
          ids.filter((id) => id !== lost),
          where,
        ).toEqual(EVENTS.filter((id) => id !== lost));
        expect(
          quarantined.every(({ unreadable }) => unreadable !== undefined),
          where,
        ).toBe(true);
        // Nothing is thrown away: what was quarantined is the damaged line, byte by byte.
        const bytes = quarantined.map(({ unreadable }) => bytesOf(unreadable ?? ''));
        if (SAMPLE[byte] !== 0x0a && damaged[byte] !== 0x0a) {
          const index = IDS.indexOf(lost ?? '');
          const start = LINES.slice(0, index).reduce((sum, line) => sum + line.bytes.length, 0);
          const line = damaged.subarray(start + 1, start + (LINES[index]?.bytes.length ?? 0) - 1);
          expect(bytes, where).toEqual([line]);
        } else {
          expect(
            bytes.every((piece) => damaged.includes(piece)),
            where,
          ).toBe(true);
        }
      });
      expect(bits.size).toBe(8);
    });
  });

  it('by truncation, at any byte, brings back every append before, and quarantines what is left of the one it is in', async () => {
    const ends = APPENDS.map((records) => ({
      ids: records.map((record) => idOf({ record })).filter((id) => id !== 'session.started'),
      bytes: LINES.filter(({ record }) => records.includes(record)).reduce(
        (sum, line) => sum + line.bytes.length,
        0,
      ),
    }));
    await inFolder(async (folder) => {
      await everywhere(async (length) => {
        const { ids, quarantined, report } = await recovered(
          join(folder, `${length}`),
          SAMPLE.subarray(0, length),
        );
        const where = `cut at ${length}`;
        const whole: string[] = [];
        let offset = 0;
        for (const append of ends) {
          // The last newline may be missing: the record is complete without it.
          if (offset + append.bytes - 1 > length) break;
          whole.push(...append.ids);
          offset += append.bytes;
        }
        expect(ids, where).toEqual(whole);
        expect(report, where).toMatchObject({ remaining: 0 });
        expect(quarantined.length > 0, where).toBe(length > offset + 1);
      });
    });
  });
});

function bytesOf(unreadable: string): Buffer {
  const bytes = unreadable.startsWith('base64:')
    ? Buffer.from(unreadable.slice('base64:'.length), 'base64')
    : Buffer.from(unreadable);
  expect(textOf(bytes)).toBe(unreadable);
  return bytes;
}

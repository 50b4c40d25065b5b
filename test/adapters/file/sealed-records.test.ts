import { describe, expect, it } from 'vitest';
import type { AppendFile } from '../../../src/adapters/file/append-file.js';
import type { RecoveryLock } from '../../../src/adapters/file/recovery-lock.js';
import { sealedRecords } from '../../../src/adapters/file/sealed-records.js';
import type { SealedSegments } from '../../../src/adapters/file/sealed-segments.js';
import type { SegmentReader } from '../../../src/adapters/file/segment-reader.js';

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A sealed part of segments that are only told of, each of ten lines of which so many are left. */
function sealedOf(left: readonly number[], failing: { settle?: (part: number) => void; merge?: () => void }) {
  const happened: string[] = [];
  const appended: number[] = [];
  const parts = left.map((lines, part): SegmentReader => {
    const segment = { path: `${part}`, bytes: 1, identity: `${part}`, born: 0n };
    const settle = async (settled: readonly number[]) => {
      happened.push(`settle ${settled.join()} of ${part}`);
      await nextTurn();
      failing.settle?.(part);
      happened.push(`settled of ${part}`);
    };
    const close = async () => void happened.push(`close ${part}`);
    async function* read() {}
    const fetch = async () => ({ records: [], bytes: 0 });
    return { segment, lines: 10, left: lines, allReadable: true, read, fetch, settle, close };
  });
  const segments = {
    remove: async (removed) => {
      if (removed.length > 0) happened.push(`remove ${removed.map(({ path }) => path).join()}`);
    },
    merge: async (merged) => {
      happened.push(`merge ${merged.map(({ path }) => path).join()}`);
      await nextTurn();
      failing.merge?.();
    },
  } satisfies Partial<SealedSegments>;
  const lock: RecoveryLock = {
    isHeld: async () => true,
    release: async () => void happened.push('unlock'),
  };
  const quarantine = {
    append: async (lines) => void appended.push(lines.length),
  } satisfies Partial<AppendFile>;
  const sealed = sealedRecords({
    path: 'log',
    parts,
    segments: segments as Partial<SealedSegments> as SealedSegments,
    lock,
    quarantine: quarantine as Partial<AppendFile> as AppendFile,
    ended: () => void happened.push('ended'),
  });
  return { sealed, happened, appended };
}

const place = (part: number, line: number) => part * 2 ** 32 + line;
const fail = (what: string) => () => {
  throw new Error(what);
};

describe('a sealed part', () => {
  it('that is released twice at the same moment is cleared once, and both wait for it', async () => {
    const { sealed, happened } = sealedOf([0, 3], {});
    await Promise.all(
      [sealed.release(), sealed.release()].map((done) => done.then(() => happened.push('released'))),
    );
    const end = ['ended', 'close 0', 'close 1', 'unlock', 'released', 'released'];
    expect(happened).toEqual(['remove 0', 'merge 1', ...end]);
  });

  it('that is released while something is settled is cleared behind that, and takes nothing more', async () => {
    const { sealed, happened } = sealedOf([9], {});
    const settled = sealed.settle([1, 2]);
    const released = sealed.release();
    await expect(sealed.settle([3])).rejects.toMatchObject({ code: 'CONTINGENCY_FAILED' });
    await Promise.all([settled, released]);
    const clear = ['settle  of 0', 'settled of 0', 'ended', 'close 0', 'unlock'];
    expect(happened).toEqual(['settle 1,2 of 0', 'settled of 0', ...clear]);
  });

  it('settles lines of all its segments, although the first one cannot be marked', async () => {
    const { sealed, happened } = sealedOf([5, 5], { settle: (part) => part === 0 && fail('full')() });
    await expect(sealed.settle([place(0, 1), place(1, 2)])).rejects.toMatchObject({
      message: 'cannot settle records of log: full',
    });
    expect(happened).toEqual(['settle 1 of 0', 'settle 2 of 1', 'settled of 1']);
  });

  it('tries its marks once more when what is left cannot be merged, and says why not', async () => {
    const { sealed, happened } = sealedOf([2, 3], { merge: fail('no room') });
    await expect(sealed.release()).rejects.toMatchObject({ message: 'cannot clear log: no room' });
    expect(happened.filter((what) => what.startsWith('settle '))).toEqual(['settle  of 0', 'settle  of 1']);
    expect(happened.at(-1)).toBe('unlock');
  });

  it('tries the marks of each segment, whatever becomes of the first', async () => {
    const { sealed, happened } = sealedOf([9, 9], { settle: (part) => part === 0 && fail('full')() });
    await expect(sealed.release()).rejects.toMatchObject({ message: 'cannot clear log: full' });
    expect(happened).toContain('settled of 1');
    expect(happened.at(-1)).toBe('unlock');
  });

  it('G7: quarantines by bytes as well as by entries', async () => {
    const { sealed, appended } = sealedOf([10], {});
    const unreadable = 'x'.repeat(400_000);
    const entries = Array.from({ length: 10 }, (_, i) => ({ place: i, unreadable, reason: 'x' }));
    await sealed.quarantine(entries);
    expect(appended).toHaveLength(4);
    expect(Math.max(...appended)).toBeLessThan(1_500_000);
  });
});

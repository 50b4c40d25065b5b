import fc from 'fast-check';
import { expect, test } from 'vitest';
import { numberRanges } from '../../../src/adapters/file/number-ranges.js';

test('has what was added and nothing else, and counts what was new, whatever overlaps', () => {
  const run = fc.tuple(fc.nat(60), fc.nat(8));
  fc.assert(
    fc.property(fc.array(run, { maxLength: 40 }), (runs) => {
      const ranges = numberRanges();
      const members = new Set<number>();
      for (const [first, length] of runs) {
        const before = members.size;
        for (let n = first; n <= first + length; n += 1) members.add(n);
        expect(ranges.add(first, first + length)).toBe(members.size - before);
        expect(ranges.size).toBe(members.size);
      }
      for (let n = -1; n <= 70; n += 1) expect(ranges.has(n)).toBe(members.has(n));
    }),
  );
});

test('a single number is a run of one', () => {
  const ranges = numberRanges();
  expect(ranges.add(5)).toBe(1);
  expect(ranges.add(5)).toBe(0);
  expect([4, 5, 6].map(ranges.has)).toEqual([false, true, false]);
});

import { expect, test } from 'vitest';
import { encodeRecord } from '../../../src/adapters/file/record-line.js';
import { wholeAppends } from '../../../src/adapters/file/whole-appends.js';
import { added, idOf } from './support/log-files.js';

function lineOf(bytes: Buffer | string) {
  return { bytes: Buffer.from(bytes), end: 0, form: 'whole' } as const;
}

const partOf = (id: string, part: number, parts: number) =>
  lineOf(encodeRecord(added(id), part, parts).subarray(1, -1));

test('G7: damaged lines are not held back without end, however many parts an append says it has', () => {
  for (const [size, lines] of [
    [1, 40_000],
    [1_000_000, 20],
  ] as const) {
    const appends = wholeAppends();
    appends.add(partOf('0', 1, 1_000_000_000), 0);
    const damaged = lineOf('x'.repeat(size));
    for (let place = 1; place <= lines; place += 1) appends.add(damaged, place);
    expect(appends.known().length).toBeGreaterThan(lines / 2);
  }
});

test('what is no longer held back comes in order, and the parts of its append as cut short', () => {
  const appends = wholeAppends();
  appends.add(partOf('0', 1, 100), 0);
  for (let place = 1; place < 20; place += 1) appends.add(lineOf('x'.repeat(1_000_000)), place);
  appends.add(partOf('1', 99, 100), 20);
  appends.add(partOf('2', 100, 100), 21);
  const entries = appends.known();
  expect(entries.map(({ place }) => place)).toEqual(Array.from({ length: 22 }, (_, place) => place));
  expect(entries.map(idOf)).toEqual([
    expect.stringMatching('cut short'),
    ...Array.from({ length: 19 }, () => 'unreadable: not JSON'),
    '1',
    '2',
  ]);
});

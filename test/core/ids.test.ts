import { expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';

test('an id is 22 characters of base64url: 128 bits', () => {
  for (let i = 0; i < 1_000; i += 1) expect(newId()).toMatch(/^[A-Za-z0-9_-]{22}$/);
});

test('100,000 ids are all different, across refills of the pool of random bytes', () => {
  const ids = new Set<string>();
  for (let i = 0; i < 100_000; i += 1) ids.add(newId());
  expect(ids.size).toBe(100_000);
});

test('every bit of an id changes from id to id', () => {
  const ones = new Array<number>(128).fill(0);
  for (let i = 0; i < 2_000; i += 1) {
    const bytes = Buffer.from(newId(), 'base64url');
    for (let bit = 0; bit < 128; bit += 1) {
      if (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) ones[bit] = (ones[bit] ?? 0) + 1;
    }
  }
  // 1,000 are expected; 700 is 13 standard deviations away.
  for (const count of ones) {
    expect(count).toBeGreaterThan(700);
    expect(count).toBeLessThan(1_300);
  }
});

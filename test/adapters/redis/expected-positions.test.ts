import { expect, test } from 'vitest';
import { expectedPositions } from '../../../src/adapters/redis/expected-positions.js';

test('what is sent goes behind what was sent before, each session by itself', () => {
  const positions = expectedPositions();
  expect(positions.take('a', 3).first).toBe(1);
  expect(positions.take('a', 2).first).toBe(4);
  expect(positions.take('b', 2).first).toBe(1);
  expect(positions.take('a', 1).first).toBe(6);
});

test('what others have added is learned from one answer, and once from all that were sent before it', () => {
  const positions = expectedPositions();
  const [first, second] = [positions.take('a', 2), positions.take('a', 2)];
  first.appended(12);
  second.appended(14);
  expect(positions.take('a', 1).first).toBe(15);
});

test('what was refused is learned from the next answer', () => {
  const positions = expectedPositions();
  positions.take('a', 2).appended(2);
  positions.take('a', 5);
  positions.take('a', 1).appended(3);
  expect(positions.take('a', 1).first).toBe(4);
});

test('only so many sessions are remembered, the newest', () => {
  const positions = expectedPositions();
  for (let i = 0; i <= 50_000; i += 1) positions.take(`s-${i}`, 1);
  expect(positions.take('s-50000', 1).first).toBe(2);
  expect(positions.take('s-0', 1).first).toBe(1);
});

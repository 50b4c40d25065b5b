import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDeadlines } from '../../../src/adapters/redis/deadlines.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('each wait is late when its own time is over, in the order in which they began', () => {
  const late: string[] = [];
  const deadlines = createDeadlines(100);
  deadlines.begin(() => late.push('a'));
  vi.advanceTimersByTime(40);
  deadlines.begin(() => late.push('b'));
  deadlines.begin(() => late.push('c'));
  vi.advanceTimersByTime(59);
  expect(late).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(late).toEqual(['a']);
  vi.advanceTimersByTime(39);
  expect(late).toEqual(['a']);
  vi.advanceTimersByTime(1);
  expect(late).toEqual(['a', 'b', 'c']);
});

test('what was met in time is never late, and being met again changes nothing', () => {
  const late: string[] = [];
  const deadlines = createDeadlines(100);
  const first = deadlines.begin(() => late.push('first'));
  deadlines.begin(() => late.push('second'));
  first.met();
  first.met();
  vi.advanceTimersByTime(100);
  expect(late).toEqual(['second']);
});

test('a wait that begins long after the others were met has its whole time', () => {
  const late: string[] = [];
  const deadlines = createDeadlines(100);
  deadlines.begin(() => late.push('first')).met();
  vi.advanceTimersByTime(90);
  deadlines.begin(() => late.push('second'));
  vi.advanceTimersByTime(99);
  expect(late).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(late).toEqual(['second']);
});

test('a wait may begin while another one is told that it is late', () => {
  const late: string[] = [];
  const deadlines = createDeadlines(100);
  deadlines.begin(() => {
    late.push('first');
    deadlines.begin(() => late.push('again'));
  });
  vi.advanceTimersByTime(50);
  deadlines.begin(() => late.push('second'));
  vi.advanceTimersByTime(50);
  expect(late).toEqual(['first']);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(50);
  expect(late).toEqual(['first', 'second']);
  vi.advanceTimersByTime(50);
  expect(late).toEqual(['first', 'second', 'again']);
  expect(vi.getTimerCount()).toBe(0);
});

test('G8: the process is held while somebody waits, and not by what has been met', () => {
  vi.useRealTimers();
  const refed = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = refed();
  const deadlines = createDeadlines(60_000);
  const first = deadlines.begin(() => {});
  const second = deadlines.begin(() => {});
  expect(refed()).toBe(before + 1);
  first.met();
  expect(refed()).toBe(before + 1);
  second.met();
  expect(refed()).toBe(before);
  const third = deadlines.begin(() => {});
  expect(refed()).toBe(before + 1);
  third.met();
  expect(refed()).toBe(before);
});

import { describe, expect, test } from 'vitest';
import { appendedSessions } from '../../../src/adapters/redis/appended-sessions.js';
import type { SessionState } from '../../../src/adapters/redis/session-state.js';

test('what is sent goes behind what was sent before, each session by itself', () => {
  const sessions = appendedSessions();
  expect(sessions.expect('a', 3).first).toBe(1);
  expect(sessions.expect('a', 2).first).toBe(4);
  expect(sessions.expect('b', 2).first).toBe(1);
  expect(sessions.expect('a', 1).first).toBe(6);
});

test('what others have added is learned from one answer, and once from all that were sent before it', () => {
  const sessions = appendedSessions();
  const [first, second] = [sessions.expect('a', 2), sessions.expect('a', 2)];
  first.appended(12);
  second.appended(14);
  expect(sessions.expect('a', 1).first).toBe(15);
});

test('what was refused is learned from the next answer', () => {
  const sessions = appendedSessions();
  sessions.expect('a', 2).appended(2);
  sessions.expect('a', 5);
  sessions.expect('a', 1).appended(3);
  expect(sessions.expect('a', 1).first).toBe(4);
});

test('only so many sessions are remembered, the newest', () => {
  const sessions = appendedSessions();
  for (let i = 0; i <= 50_000; i += 1) sessions.expect(`s-${i}`, 1);
  expect(sessions.expect('s-50000', 1).first).toBe(2);
  expect(sessions.expect('s-0', 1).first).toBe(1);
});

describe('what a session is like', () => {
  const stateOf = (events: number) => ({ events }) as SessionState;

  test('is known behind an append, and still behind the next one', () => {
    const sessions = appendedSessions();
    expect(sessions.expect('a', 1).state).toBeUndefined();
    sessions.expect('b', 2).appended(2, stateOf(2));
    const next = sessions.expect('b', 3);
    expect(next.state).toEqual(stateOf(2));
    next.appended(5, stateOf(5));
    expect(sessions.expect('b', 1).state).toEqual(stateOf(5));
  });

  test('is not known while an append is under way, or after one of which nobody knows what became of it', () => {
    const sessions = appendedSessions();
    sessions.expect('a', 2).appended(2, stateOf(2));
    sessions.expect('a', 1);
    expect(sessions.expect('a', 1).state).toBeUndefined();
  });

  test('is not taken for known when others append too: not before two appends in a row are ours', () => {
    const sessions = appendedSessions();
    sessions.expect('a', 1).appended(1, stateOf(1));
    sessions.expect('a', 1).appended(7, stateOf(7));
    const next = sessions.expect('a', 1);
    expect(next).toMatchObject({ first: 8, state: undefined });
    next.appended(8, stateOf(8));
    expect(sessions.expect('a', 1).state).toEqual(stateOf(8));
  });
});

import { describe, expect, test } from 'vitest';
import { appendedSessions } from '../../../src/adapters/redis/appended-sessions.js';
import type { SessionState } from '../../../src/adapters/redis/session-state.js';

test('what is sent goes behind what was answered, each session by itself', () => {
  const sessions = appendedSessions();
  expect(sessions.expect('a').first).toBe(1);
  sessions.appended('a', 3, 3);
  expect(sessions.expect('a').first).toBe(4);
  expect(sessions.expect('b').first).toBe(1);
});

test('what others have added is learned from the answer', () => {
  const sessions = appendedSessions();
  sessions.appended('a', 2, 12);
  expect(sessions.expect('a').first).toBe(13);
});

test('only so many sessions are remembered, the newest', () => {
  const sessions = appendedSessions();
  for (let i = 0; i <= 50_000; i += 1) sessions.appended(`s-${i}`, 1, 1);
  expect(sessions.expect('s-50000').first).toBe(2);
  expect(sessions.expect('s-0').first).toBe(1);
});

describe('what a session is like', () => {
  const stateOf = (events: number) => ({ events }) as SessionState;

  test('is known behind an append, and still behind the next one', () => {
    const sessions = appendedSessions();
    expect(sessions.expect('a').state).toBeUndefined();
    sessions.appended('b', 2, 2, stateOf(2));
    expect(sessions.expect('b').state).toEqual(stateOf(2));
    sessions.appended('b', 3, 5, stateOf(5));
    expect(sessions.expect('b').state).toEqual(stateOf(5));
  });

  test('is not taken for known when others append too: not before two appends in a row are ours', () => {
    const sessions = appendedSessions();
    sessions.appended('a', 1, 1, stateOf(1));
    sessions.appended('a', 1, 7, stateOf(7));
    expect(sessions.expect('a')).toMatchObject({ first: 8, state: undefined });
    sessions.appended('a', 1, 8, stateOf(8));
    expect(sessions.expect('a').state).toEqual(stateOf(8));
  });
});

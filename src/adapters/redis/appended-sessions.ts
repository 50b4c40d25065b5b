import { forgetOldest } from '../../core/forget-oldest.js';
import type { SessionState } from './session-state.js';

/**
 * What this process expects of a session that it appends to, one append at a time: only a guess, which the scripts check,
 * since others may append too, and what failed may have been done.
 *
 * - At which position the next event will be, so that it goes to Redis with its position before it: a script that has to
 *   put it there copies the whole text.
 * - What the session is like, if nobody but this process has appended to it lately.
 *
 * Of the sessions of the past, the oldest are forgotten.
 */
export interface AppendedSessions {
  expect(sessionId: string): Expectation;
  /** So many events are in, the last event of the session is at this position, and this is what it is like, if that was told. */
  appended(sessionId: string, events: number, last: number, state?: SessionState): void;
}

export interface Expectation {
  /** The position of the next event. */
  readonly first: number;
  readonly state: SessionState | undefined;
}

const MAX_SESSIONS = 50_000;
const NEW: Expectation = { first: 1, state: undefined };

export function appendedSessions(): AppendedSessions {
  const sessions = new Map<string, Expectation>();
  const expect = (sessionId: string) => sessions.get(sessionId) ?? NEW;

  return {
    expect,
    appended(sessionId, events, last, now) {
      const state = last + 1 === expect(sessionId).first + events ? now : undefined;
      sessions.set(sessionId, { first: last + 1, state });
      forgetOldest(sessions, MAX_SESSIONS);
    },
  };
}

import { forgetOldest } from '../../core/forget-oldest.js';
import type { SessionState } from './session-state.js';

/**
 * What this process expects of a session that it appends to: only a guess, which the scripts check, since others may
 * append too, and what was sent may have been refused.
 *
 * - At which position the next event will be, so that it goes to Redis with its position before it: a script that has to
 *   put it there copies the whole text.
 * - What the session is like, if nobody but this process has appended to it lately, and nothing of it is under way.
 *
 * Of the sessions of the past, the oldest are forgotten.
 */
export interface AppendedSessions {
  /** For so many events that are sent now. */
  expect(sessionId: string, events: number): Expectation;
}

export interface Expectation {
  /** The position of the first of the events. */
  readonly first: number;
  readonly state: SessionState | undefined;
  /** They are in, the last event of the session is at this position, and this is what it is like, if that was told. */
  appended(last: number, state?: SessionState): void;
}

interface Place {
  next: number;
  corrections: number;
  state: SessionState | undefined;
}

const MAX_SESSIONS = 50_000;

export function appendedSessions(): AppendedSessions {
  const sessions = new Map<string, Place>();

  function placeIn(sessionId: string): Place {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const place = { next: 1, corrections: 0, state: undefined };
    sessions.set(sessionId, place);
    forgetOldest(sessions, MAX_SESSIONS);
    return place;
  }

  return {
    expect(sessionId, events) {
      const place = placeIn(sessionId);
      const { next: first, corrections, state } = place;
      place.next += events;
      return {
        first,
        state: state?.events === first - 1 ? state : undefined,
        appended(last, now) {
          const off = last + 1 - (first + events);
          place.state = off === 0 ? now : undefined;
          // What was sent before an earlier answer is off for the same reason.
          if (off === 0 || place.corrections !== corrections) return;
          place.next += off;
          place.corrections += 1;
        },
      };
    },
  };
}

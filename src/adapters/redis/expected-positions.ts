import { forgetOldest } from '../../core/forget-oldest.js';

/**
 * At which position in its session an event will be, as far as this process can tell, so that it goes to Redis with its
 * position before it: a script that has to put it there copies the whole text. Only a guess, which the script checks:
 * others may have added events, and what was sent may have been refused.
 *
 * Of the sessions of the past, the oldest are forgotten.
 */
export interface ExpectedPositions {
  /** Of the first of so many events that are sent now. */
  take(sessionId: string, events: number): ExpectedPosition;
}

export interface ExpectedPosition {
  readonly first: number;
  /** They are in, and the last event of the session is at this position. */
  appended(last: number): void;
}

const MAX_SESSIONS = 50_000;

export function expectedPositions(): ExpectedPositions {
  const sessions = new Map<string, { next: number; corrections: number }>();

  function placeIn(sessionId: string) {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const place = { next: 1, corrections: 0 };
    sessions.set(sessionId, place);
    forgetOldest(sessions, MAX_SESSIONS);
    return place;
  }

  return {
    take(sessionId, events) {
      const place = placeIn(sessionId);
      const { next: first, corrections } = place;
      place.next += events;
      return {
        first,
        appended(last) {
          const off = last + 1 - (first + events);
          // What was sent before an earlier answer is off for the same reason.
          if (off === 0 || place.corrections !== corrections) return;
          place.next += off;
          place.corrections += 1;
        },
      };
    },
  };
}

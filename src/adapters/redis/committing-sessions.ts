import { forgetOldest } from '../../core/forget-oldest.js';
import type { ReadRange } from '../../ports/session-store.js';

/**
 * What is known of the lists of sessions that are being committed by this process. They no longer change, so whoever
 * knows this can take a page of the list by itself, and tell without a script that it will not be too large.
 *
 * Only a hint: of the sessions of the past that nobody has taken off, the oldest are forgotten.
 */
export interface CommittingSessions {
  begun(sessionId: string, list: ListFacts): void;
  /** The elements in which the range is, as far as it is known. Undefined if somebody has to look. */
  elementsFor(sessionId: string, range: ReadRange): ElementRange | undefined;
  /** In which element the event behind `after` should be, if that is known. */
  elementBehind(sessionId: string, after: number): number | undefined;
  /** A page that ends with event `after`, was in that many elements, and goes on in that element. */
  hasRead(sessionId: string, page: { after: number; events: number; elements: number; next: number }): void;
  ended(sessionId: string): void;
}

export interface ListFacts {
  readonly events: number;
  readonly elements: number;
  /** Bytes of the largest element. */
  readonly largest: number;
}

export interface ElementRange {
  readonly first: number;
  readonly count: number;
}

interface Known {
  readonly largest: number;
  /** In the last page; before the first one, in all of them. */
  eventsPerElement: number;
  /** The event behind this one is in that element. */
  after: number;
  next: number;
}

const MAX_SESSIONS = 10_000;

export function committingSessions(): CommittingSessions {
  const sessions = new Map<string, Known>();

  function elementBehind(sessionId: string, after: number): number | undefined {
    const known = sessions.get(sessionId);
    return known?.after === after ? known.next : undefined;
  }

  return {
    begun(sessionId, { events, elements, largest }) {
      sessions.delete(sessionId);
      sessions.set(sessionId, { largest, eventsPerElement: events / elements || 1, after: 0, next: 0 });
      forgetOldest(sessions, MAX_SESSIONS);
    },
    elementsFor(sessionId, { after, limit, maxBytes }) {
      const known = sessions.get(sessionId);
      const first = elementBehind(sessionId, after);
      if (known === undefined || first === undefined) return undefined;
      const wanted = Math.ceil(limit / known.eventsPerElement);
      const allowed = Math.floor(maxBytes / known.largest);
      // One huge event must not make all pages small.
      return allowed < wanted / 8 ? undefined : { first, count: Math.min(wanted, allowed) };
    },
    elementBehind,
    hasRead(sessionId, { after, events, elements, next }) {
      const known = sessions.get(sessionId);
      if (known === undefined || events === 0) return;
      Object.assign(known, { after, next, eventsPerElement: Math.max(1, events / elements) });
    },
    ended: (sessionId) => {
      sessions.delete(sessionId);
    },
  };
}

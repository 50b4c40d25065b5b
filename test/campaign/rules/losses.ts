import type { Rule, Violation } from '../checker.js';
import { explainedReason } from '../quarantine.js';
import {
  certaintyOf,
  type EventStory,
  isInStore,
  isStarted,
  mayHaveReached,
  type SessionStory,
  type Stories,
} from '../stories.js';

/** G1, G3: what was acknowledged is there, and of a committed session everything comes at least once. */
export const losses: Rule = (stories) =>
  [...stories.sessions.values()].flatMap((session) => [
    ...lostSession(session),
    ...session.events.flatMap((event) => lostEvent(stories, session, event)),
  ]);

function lostSession({ sessionId, starts, final }: SessionStory): Violation[] {
  if (final !== undefined || !starts.some(isStarted)) return [];
  const message = 'its start was acknowledged, and the store does not know it';
  return [{ guarantee: 'G1', rule: 'session lost', sessionId, message }];
}

function lostEvent(stories: Stories, session: SessionStory, event: EventStory): Violation[] {
  const { sessionId, final } = session;
  if (final === undefined) return [];
  const name = `event ${event.id ?? event.tag}`;
  const stored = event.id !== undefined && final.eventIds.includes(event.id);
  if (!stored && event.adds.some(isInStore)) {
    const message = `${name} was acknowledged as stored, and the store does not have it`;
    return [{ guarantee: 'G1', rule: 'event not in store', sessionId, message }];
  }
  if (final.status !== 'committed' || event.messages.length > 0) return [];
  const acknowledged = event.adds.some((add) => certaintyOf(add) === 'acknowledged');
  if (!acknowledged && !stored) return [];
  if (session.calls.some((call) => call.outcome === 'published' && covers(call.events, event.id))) {
    const message = `${name} was acknowledged by nsqd, and nsqd does not have it: that is the broker's loss`;
    return [{ guarantee: 'G3', rule: 'lost by the broker', sessionId, message }];
  }
  if (isExplained(stories, session, event)) return [];
  const tried = session.calls.filter((call) => mayHaveReached(call) && covers(call.events, event.id)).length;
  const how = stored ? 'is in the store' : 'was acknowledged';
  const message = `${name} ${how}, its session is committed, and nobody ever got it (${tried} attempts to publish)`;
  return [{ guarantee: 'G1', rule: 'event lost', sessionId, message }];
}

/** In quarantine for a reason that the contract gives: then a person has it. */
function isExplained(stories: Stories, session: SessionStory, event: EventStory): boolean {
  return session.quarantine.some(
    (entry) =>
      entry.record?.kind === 'event.added' &&
      entry.record.eventId === event.id &&
      explainedReason(stories, entry) !== undefined,
  );
}

function covers(events: readonly (readonly [number, string])[], id: string | undefined): boolean {
  return events.some(([, published]) => published === id);
}

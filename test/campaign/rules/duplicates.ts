import type { CheckerSettings, Rule, Violation } from '../checker.js';
import { copiesBeyondFirst, duplicateBound } from '../interruptions.js';
import { type EventStory, mayHaveReached, type SessionStory, type Stories } from '../stories.js';

/** G3: a duplicate has a cause, and no interruption makes more of them than were in flight. */
export const duplicates: Rule = (stories, settings) =>
  [...stories.sessions.values()].flatMap((session) => [
    ...storedTwice(session),
    ...session.events.flatMap((event) => unexplainedCopies(session, event)),
    ...beyondBound(stories, session, settings),
  ]);

function storedTwice({ sessionId, final }: SessionStory): Violation[] {
  const ids = final?.eventIds ?? [];
  const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length === 0) return [];
  const message = `${twice.length} events stand in the store more than once (first: ${twice[0]})`;
  return [{ guarantee: 'G3', rule: 'stored twice', sessionId, message }];
}

/** A call publishes an event once at most. */
function unexplainedCopies({ sessionId, calls }: SessionStory, event: EventStory): Violation[] {
  const copies = event.messages.length;
  if (copies < 1) return [];
  const attempts = calls.filter(
    (call) => mayHaveReached(call) && call.events.some(([, id]) => id === event.id),
  ).length;
  if (copies <= attempts) return [];
  const message = `event ${event.id} came ${copies} times; ${attempts} calls of the publisher can have reached nsqd`;
  return [{ guarantee: 'G3', rule: 'unexplained copy', sessionId, message }];
}

function beyondBound(stories: Stories, session: SessionStory, settings: CheckerSettings): Violation[] {
  const extra = copiesBeyondFirst(session);
  if (extra === 0) return [];
  const { events, why } = duplicateBound(stories, session, settings);
  if (extra <= events) return [];
  const reasons = why.length === 0 ? 'there was no interruption' : why.join(', ');
  const message = `${extra} messages came again; ${events} may (${reasons})`;
  return [{ guarantee: 'G3', rule: 'duplicates beyond the bound', sessionId: session.sessionId, message }];
}

import type { Rule, Violation } from '../checker.js';
import type { Message } from '../observations.js';
import {
  certaintyOf,
  type EventStory,
  mayHaveReached,
  type Operation,
  type SessionStory,
  type Stories,
} from '../stories.js';

/**
 * G4: what a session holds reaches the broker in the order of its positions, and carries them. Events that recovery
 * published behind a committed session's end have no position there: they come behind the others, and are not judged
 * among themselves. Nor is an event that waited in the log of one host, while another host, which knows nothing of that
 * log, went on behind it; or that came into the log when recovery had set apart what it works on.
 */
export const order: Rule = (stories) =>
  [...stories.sessions.values()].flatMap((session) => [
    ...wrongSequences(session),
    ...outOfOrder(stories, session),
    ...notInOrderOfAcceptance(session),
  ]);

/** Position in the session, from 1; undefined for a late event. */
function positions({ final }: SessionStory): ReadonlyMap<string, number> {
  return new Map((final?.eventIds ?? []).map((id, i) => [id, i + 1]));
}

function wrongSequences(session: SessionStory): Violation[] {
  const { sessionId, final, events } = session;
  if (final === undefined) return [];
  const places = positions(session);
  return events.flatMap(({ id = '', messages }) =>
    messages.flatMap(({ sequence }): Violation[] => {
      const place = places.get(id);
      if (place === undefined ? sequence > final.eventIds.length : sequence === place) return [];
      const message =
        place === undefined
          ? `event ${id} is not in the session, and came as ${sequence} of ${final.eventIds.length}`
          : `event ${id} is number ${place} and came as number ${sequence}`;
      return [{ guarantee: 'G4', rule: 'wrong sequence', sessionId, message }];
    }),
  );
}

function outOfOrder(stories: Stories, session: SessionStory): Violation[] {
  const { sessionId } = session;
  const [first] = inversions(session).filter((inversion) => !waitedElsewhere(stories, session, inversion));
  if (first === undefined) return [];
  const { earlier, later } = first;
  const message =
    `on ${later.topic}, number ${later.sequence} came before number ${earlier.sequence} ` +
    `(events ${later.id}, ${earlier.id})`;
  return [{ guarantee: 'G4', rule: 'out of order', sessionId, message }];
}

/** Sessions with events that were overtaken while they waited in the log of another host. */
export function isOvertaken(stories: Stories, session: SessionStory): boolean {
  return inversions(session).some((inversion) => waitedElsewhere(stories, session, inversion));
}

/** `later` has the higher position, and came first. */
interface Inversion {
  readonly earlier: Message;
  readonly later: Message;
}

function inversions(session: SessionStory): Inversion[] {
  const places = positions(session);
  const topics = new Map<string, Message[]>();
  for (const { topic, messages } of session.events) {
    const first = firstOf(messages);
    if (first !== undefined) topics.set(topic, [...(topics.get(topic) ?? []), first]);
  }
  const rankOf = ({ id, sequence }: Message) => (places.has(id) ? sequence : Number.POSITIVE_INFINITY);
  return [...topics.values()].flatMap((firsts) => {
    firsts.sort((a, b) => rankOf(a) - rankOf(b));
    return firsts.flatMap((earlier, i) =>
      firsts
        .slice(i + 1)
        .filter((later) => rankOf(later) > rankOf(earlier) && later.timestamp < earlier.timestamp)
        .map((later) => ({ earlier, later })),
    );
  });
}

function waitedElsewhere(
  { processes }: Stories,
  { events, calls }: SessionStory,
  { earlier, later }: Inversion,
): boolean {
  const waitedIn = events.find(({ id }) => id === earlier.id)?.recorded.unpublishedIn;
  if (waitedIn === undefined || waitedIn.size === 0) return false;
  return calls.some((call) => {
    if (!mayHaveReached(call) || !call.events.some(([, id]) => id === later.id)) return false;
    const process = processes.get(call.process);
    const since = waitedIn.get(process?.log ?? '');
    if (since === undefined) return true;
    const sealing = process?.entries.findLast(({ kind, n }) => kind === 'sealing' && n < call.invoked.n);
    return call.attempt === undefined && sealing !== undefined && since >= sealing.at;
  });
}

function firstOf(messages: readonly Message[]): Message | undefined {
  return messages.reduce<Message | undefined>(
    (first, message) => (first === undefined || message.timestamp < first.timestamp ? message : first),
    undefined,
  );
}

/** Adds of one process, the second made after the first was acknowledged. Events that were added once only. */
function notInOrderOfAcceptance(session: SessionStory): Violation[] {
  const { sessionId, adds, events } = session;
  const places = positions(session);
  const eventsOf = new Map<Operation, EventStory[]>();
  for (const event of events) {
    const [add] = event.adds;
    if (add !== undefined && event.adds.length === 1)
      eventsOf.set(add, [...(eventsOf.get(add) ?? []), event]);
  }
  const highest = new Map<string, { n: number; place: number; id: string }[]>();
  const violations: Violation[] = [];
  for (const add of [...adds].sort((a, b) => a.invoked.n - b.invoked.n)) {
    if (certaintyOf(add) !== 'acknowledged') continue;
    const own = (eventsOf.get(add) ?? []).flatMap(({ id = '' }) => {
      const place = places.get(id);
      return place === undefined ? [] : [{ n: add.settled?.n ?? 0, place, id }];
    });
    const earlier = highest.get(add.process) ?? [];
    for (const { place, id } of own) {
      const before = earlier.find((other) => other.n < add.invoked.n && other.place > place);
      if (before === undefined) continue;
      const message = `${add.process} added ${id} (number ${place}) after ${before.id} (number ${before.place}) was acknowledged`;
      violations.push({ guarantee: 'G4', rule: 'not in order of acceptance', sessionId, message });
    }
    if (own.some(({ place }, i) => i > 0 && place < (own[i - 1]?.place ?? 0))) {
      const message = `events that ${add.process} added together are in another order`;
      violations.push({ guarantee: 'G4', rule: 'not in order of acceptance', sessionId, message });
    }
    highest.set(add.process, [...earlier, ...own]);
  }
  return violations;
}

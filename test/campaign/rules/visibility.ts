import type { Rule, Violation } from '../checker.js';
import { certaintyOf, type SessionStory } from '../stories.js';

/** Milliseconds by which the wall clock of one machine may be read wrongly. */
const CLOCK_MS = 5;

/** G2: nothing before the commit, nothing without one. G3: nothing that nobody has added. */
export const visibility: Rule = ({ sessions }) =>
  [...sessions.values()].flatMap((session) => [
    ...withoutCommit(session),
    ...beforeCommit(session),
    ...unknownEvents(session),
  ]);

const messagesOf = ({ events, strangers }: SessionStory) => [
  ...events.flatMap(({ messages }) => messages),
  ...strangers,
];

function withoutCommit(session: SessionStory): Violation[] {
  const { sessionId, final } = session;
  const messages = messagesOf(session);
  const status = final?.status ?? 'unknown to the store';
  if (messages.length === 0 || status === 'committed' || status === 'committing') return [];
  const message = `${messages.length} messages of it were published (first: event ${messages[0]?.id}), and it is ${status}`;
  return [{ guarantee: 'G2', rule: 'published without commit', sessionId, message }];
}

function beforeCommit(session: SessionStory): Violation[] {
  const { sessionId, commits } = session;
  const asked = Math.min(...commits.map(({ invoked }) => invoked.at));
  const early = messagesOf(session).filter(
    ({ timestamp }) => Number(timestamp / 1_000_000n) < asked - CLOCK_MS,
  );
  if (early.length === 0) return [];
  const when =
    commits.length === 0 ? 'nobody ever asked for a commit' : `the first commit was asked for at ${asked}`;
  const message = `${early.length} messages came before (first: event ${early[0]?.id}, at ${early[0]?.timestamp}); ${when}`;
  return [{ guarantee: 'G2', rule: 'published before commit', sessionId, message }];
}

function unknownEvents({ sessionId, events, strangers }: SessionStory): Violation[] {
  const violations = strangers.map(({ id, topic, tag }): Violation => {
    const message = `a message with event ${id} (${tag}) on topic ${topic}: nobody added it there`;
    return { guarantee: 'G3', rule: 'unknown event', sessionId, message };
  });
  for (const { id, adds, messages } of events) {
    if (messages.length === 0 || adds.some((add) => certaintyOf(add) !== 'refused')) continue;
    const message = `event ${id} was published, and every add of it was refused`;
    violations.push({ guarantee: 'G3', rule: 'unknown event', sessionId, message });
  }
  return violations;
}

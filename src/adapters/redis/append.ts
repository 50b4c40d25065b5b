import type { AcceptedEvent } from '../../core/event.js';
import type { AppendOutcome, SessionStore } from '../../ports/session-store.js';
import { APPEND, APPEND_RUN } from './append-scripts.js';
import { appendedSessions } from './appended-sessions.js';
import type { RedisConnection } from './connection.js';
import { toElements } from './list-elements.js';
import { answer, oneOf, text, unexpected, whole } from './replies.js';
import { refusal } from './session-record.js';
import { stateAfter, toState } from './session-state.js';
import { isWriters, runOf, type WriterRun } from './writer-ids.js';

type Append = SessionStore['append'];

/** Appends: what a writer adds in one way, and whatever else comes in another. To one session one at a time. */
export function createAppend(
  redis: RedisConnection,
  keysOf: (sessionId: string) => readonly string[],
): Append {
  const sessions = appendedSessions();

  /** Of events with a writer's ids. */
  async function appendRun(run: WriterRun, ...[sessionId, events, limits, asOf]: Parameters<Append>) {
    const { maxSessionEvents, maxSessionBytes } = limits;
    const field = `w:${run.prefix}`;
    const { first, state } = sessions.expect(sessionId);
    const elements = toElements(events, first);
    const { texts, bytes, largest } = elements;
    const askedAt = performance.now();
    const next = state && asOf === undefined ? stateAfter(state, run, elements, limits, askedAt) : undefined;
    const what = `${asOf ?? '-'} ${maxSessionEvents} ${maxSessionBytes} ${run.length} ${run.first} ${bytes} ${largest} ${first}`;
    const expected =
      state && next
        ? [
            state.events,
            state.expiresAt,
            next.events,
            next.expiresAt,
            next.elements,
            next.bytes,
            next.ranges + next.last,
          ]
        : NOTHING_EXPECTED;
    const reply = await redis.run(APPEND_RUN, keysOf(sessionId), [field, what, ...expected, ...texts]);
    // A client may give integers as text.
    if (next !== undefined && (reply === 1 || reply === '1')) {
      sessions.appended(sessionId, run.length, next.events, next);
      return { outcome: 'appended', duplicates: [], events: next.events } as const;
    }
    const answered = answer(reply);
    const outcome = toAppendOutcome(answered, events, events);
    if (outcome.outcome === 'appended') {
      const now = toState(answered, run.prefix, askedAt);
      sessions.appended(sessionId, run.length, outcome.events, now);
    }
    return outcome;
  }

  async function appendAny(...[sessionId, given, limits, asOf]: Parameters<Append>): Promise<AppendOutcome> {
    const events = withoutRepeats(given);
    const ids = events.map(({ id }) => id);
    const texts = events.map(({ topic, json }) => `${topic} ${json}`);
    const { maxSessionEvents, maxSessionBytes } = limits;
    const head = ['', asOf ?? '', maxSessionEvents, maxSessionBytes, ids.length, ids.some(isWriters) ? 1 : 0];
    const reply = answer(await redis.run(APPEND, keysOf(sessionId), [...head, ...ids, ...texts]));
    return toAppendOutcome(reply, given, events);
  }

  return (...append) => {
    const run = runOf(append[1]);
    return run === undefined ? appendAny(...append) : appendRun(run, ...append);
  };
}

const NOTHING_EXPECTED = ['', '', '', '', '', '', ''];
const LIMITS = ['events', 'bytes'] as const;

/** Of those with the same id the first. */
function withoutRepeats(given: readonly AcceptedEvent[]): readonly AcceptedEvent[] {
  const events = new Map<string, AcceptedEvent>();
  for (const event of given) if (!events.has(event.id)) events.set(event.id, event);
  return events.size === given.length ? given : [...events.values()];
}

/** The reply tells of `sent`, which is what was `given` without repeats. */
function toAppendOutcome(
  reply: readonly unknown[],
  given: readonly AcceptedEvent[],
  sent: readonly AcceptedEvent[],
): AppendOutcome {
  const [outcome, second, positions] = reply;
  if (outcome === 'limit_exceeded') return { outcome, limit: oneOf(LIMITS, second, 'a limit') };
  if (outcome !== 'appended') return refusal(reply, 'an append');
  const events = whole(second, 'the events of the session');
  const known = new Set(positionsIn(positions, sent.length));
  if (known.size === 0 && sent === given) return { outcome, duplicates: [], events };
  const duplicates: number[] = [];
  const seen = new Set<string>();
  given.forEach(({ id }, i) => {
    if (seen.has(id) || known.has(seen.size)) duplicates.push(i);
    seen.add(id);
  });
  return { outcome, duplicates, events };
}

/** Positions with commas between them, each below `count`. */
function positionsIn(reply: unknown, count: number): number[] {
  const expected = 'positions of events';
  const positions = text(reply, expected);
  if (positions === '') return [];
  return positions.split(',').map((digits) => {
    const position = whole(digits, expected);
    if (position >= count) throw unexpected(`${expected}, below ${count}`, reply);
    return position;
  });
}

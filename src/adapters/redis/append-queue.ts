import { EventSessionsError, messageOf } from '../../core/errors.js';
import type { AcceptedEvent } from '../../core/event.js';
import type { AppendOutcome, SessionLimits, SessionStore } from '../../ports/session-store.js';
import type { RedisConnection } from './connection.js';
import { createDeadlines, type Deadline } from './deadlines.js';

/**
 * The appends of a session go to Redis one after the other, each when the one before it has been answered. What comes
 * meanwhile, or in the same turn of the event loop, goes as one.
 *
 * A command that has been sent can still be overtaken by the next one, on one connection as well: Redis may not know its
 * script (after a start, a failover, a SCRIPT FLUSH) and learn it from somebody else in between, or the slot of the
 * session may be about to move, and then it is sent again. So what is to come behind an append waits for its answer. If
 * it fails, all of that fails as well, and was not done: otherwise it would overtake what the caller has yet to repeat.
 *
 * Every call keeps its own all or nothing. If Redis takes the whole, it would have taken each call by itself; if it
 * refuses the whole for a limit, it has changed nothing, and the calls are sent one by one, in their order. Every
 * other refusal, and every failure, is that of each of them.
 */
export interface AppendQueue {
  readonly append: SessionStore['append'];
  /**
   * For a command that comes behind the appends of its session: resolves when they have been answered, and rejects if
   * one has failed. Undefined if there are none.
   */
  answered(sessionId: string): Promise<unknown> | undefined;
}

interface Call {
  readonly events: readonly AcceptedEvent[];
  readonly length: number;
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Calls that are sent as one. */
interface Group {
  readonly limits: SessionLimits;
  readonly asOf: number | undefined;
  readonly calls: Call[];
  events: number;
  length: number;
  /** Until when it waits for those before it. */
  deadline?: Deadline;
}

/** The appends of a session. There is one as long as some are not answered. */
interface Line {
  /** That wait to be sent. */
  readonly groups: Group[];
  /** The last of these, if it takes more. */
  open: Group | undefined;
  isSending: boolean;
  /** The answer to the last call. */
  last: Promise<AppendOutcome> | undefined;
}

/** One script serves nobody else while it runs. */
const MAX_EVENTS = 10_000;
const MAX_LENGTH = 4 * 1_048_576;

/** So many sessions' appends leave in one write: a write for each costs much, and one for all leaves Redis idle meanwhile. */
const SESSIONS_PER_WRITE = 16;

export function appendQueue(
  send: SessionStore['append'],
  inOneWrite: RedisConnection['inOneWrite'],
  deadlineMs: number,
): AppendQueue {
  const lines = new Map<string, Line>();
  /** Those whose next group is sent when the turn is over. */
  const due = new Map<string, Line>();
  const deadlines = createDeadlines(deadlineMs);

  function sendWhenTurnIsOver(sessionId: string, line: Line): void {
    if (due.size === 0) process.nextTick(sendDue);
    due.set(sessionId, line);
  }

  function sendDue(): void {
    const all = [...due];
    due.clear();
    for (let i = 0; i < all.length; i += SESSIONS_PER_WRITE) {
      const some = all.slice(i, i + SESSIONS_PER_WRITE);
      const sendSome = () => {
        for (const [sessionId, line] of some) sendNext(sessionId, line);
      };
      // As a rule there is one, and nothing to hold back for.
      if (some.length === 1) sendSome();
      else inOneWrite(sendSome);
    }
  }

  function sendNext(sessionId: string, line: Line): void {
    const group = line.groups.shift();
    if (group === undefined) return;
    const { calls, limits, asOf, deadline } = group;
    deadline?.met();
    if (line.open === group) line.open = undefined;
    line.isSending = true;
    send(sessionId, eventsOf(calls), limits, asOf).then(
      (outcome) => {
        if (outcome.outcome === 'limit_exceeded' && calls.length > 1) {
          line.groups.unshift(...calls.map((call) => join(newGroup(line, limits, asOf), call)));
        } else settle(calls, outcome);
        line.isSending = false;
        if (line.groups.length === 0) lines.delete(sessionId);
        else sendWhenTurnIsOver(sessionId, line);
      },
      (error: unknown) => {
        for (const { reject } of calls) reject(error);
        refuseWaiting(line, behindFailed(error));
        lines.delete(sessionId);
      },
    );
  }

  function refuseWaiting(line: Line, error: EventSessionsError): void {
    line.open = undefined;
    for (const { calls, deadline } of line.groups.splice(0)) {
      deadline?.met();
      for (const { reject } of calls) reject(error);
    }
  }

  function newGroup(line: Line, limits: SessionLimits, asOf: number | undefined): Group {
    const group: Group = { limits, asOf, calls: [], events: 0, length: 0 };
    const giveUp = () => {
      if (line.groups.includes(group)) refuseWaiting(line, notDone(`it had to wait for ${deadlineMs} ms`));
    };
    // The answer to what is before it may have arrived, and is read first.
    if (line.isSending || line.groups.length > 0)
      group.deadline = deadlines.begin(() => setImmediate(giveUp));
    return group;
  }

  function lineOf(sessionId: string): Line {
    const known = lines.get(sessionId);
    if (known !== undefined) return known;
    const line: Line = { groups: [], open: undefined, isSending: false, last: undefined };
    lines.set(sessionId, line);
    sendWhenTurnIsOver(sessionId, line);
    return line;
  }

  return {
    append(sessionId, events, limits, asOf) {
      const line = lineOf(sessionId);
      const length = events.reduce((sum, { json }) => sum + json.length, 0);
      let group = line.open;
      const fits =
        group !== undefined &&
        group.limits === limits &&
        group.asOf === asOf &&
        group.events + events.length <= MAX_EVENTS &&
        group.length + length <= MAX_LENGTH;
      if (group === undefined || !fits) {
        group = newGroup(line, limits, asOf);
        line.groups.push(group);
        line.open = group;
      }
      line.last = new Promise((resolve, reject) => join(group, { events, length, resolve, reject }));
      return line.last;
    },

    answered(sessionId) {
      const line = lines.get(sessionId);
      if (line === undefined) return undefined;
      // What comes behind the command is not to be carried out before it.
      line.open = undefined;
      return line.last?.catch((error: unknown) => {
        throw behindFailed(error);
      });
    },
  };
}

function join(group: Group, call: Call): Group {
  group.calls.push(call);
  group.events += call.events.length;
  group.length += call.length;
  return group;
}

function notDone(message: string, cause?: unknown): EventSessionsError {
  return new EventSessionsError('STORE_UNAVAILABLE', `Redis: ${message}`, { outcome: 'not_done' }, cause);
}

function behindFailed(error: unknown): EventSessionsError {
  return notDone(`an append before it in its session has failed: ${messageOf(error)}`, error);
}

function eventsOf(calls: readonly Call[]): readonly AcceptedEvent[] {
  const [first] = calls;
  if (first !== undefined && calls.length === 1) return first.events;
  const all: AcceptedEvent[] = [];
  for (const { events } of calls) for (const event of events) all.push(event);
  return all;
}

/** Cuts the answer for all into one for each call, as if they had come one after the other. */
function settle(calls: readonly Call[], outcome: AppendOutcome): void {
  if (outcome.outcome !== 'appended' || calls.length === 1) {
    for (const { resolve } of calls) resolve(outcome);
    return;
  }
  const { duplicates } = outcome;
  const given = calls.reduce((sum, { events }) => sum + events.length, 0);
  let count = outcome.events - (given - duplicates.length);
  let from = 0;
  let next = 0;
  for (const { events, resolve } of calls) {
    const mine: number[] = [];
    for (; next < duplicates.length && (duplicates[next] as number) < from + events.length; next += 1) {
      mine.push((duplicates[next] as number) - from);
    }
    from += events.length;
    count += events.length - mine.length;
    resolve({ outcome: 'appended', duplicates: mine, events: count });
  }
}

import type { AcceptedEvent } from '../../core/event.js';
import type { AppendOutcome, SessionLimits, SessionStore } from '../../ports/session-store.js';
import type { RedisConnection } from './redis-client.js';

/**
 * Appends to one session that come in the same turn of the event loop go to Redis as one.
 *
 * Every call keeps its own all or nothing. If Redis takes the whole, it would have taken each call by itself; if it
 * refuses the whole for a limit, it has changed nothing, and the calls are sent one by one, in their order. Every
 * other refusal, and every failure, is that of each of them.
 */
export interface AppendQueue {
  readonly append: SessionStore['append'];
  /** Sends what waits for this session, so that a command that comes after it is carried out after it. */
  flush(sessionId: string): void;
}

interface Call {
  readonly events: readonly AcceptedEvent[];
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Waiting {
  readonly limits: SessionLimits;
  readonly asOf: number | undefined;
  readonly calls: Call[];
  events: number;
  length: number;
}

/** One script serves nobody else while it runs. */
const MAX_EVENTS = 10_000;
const MAX_LENGTH = 4 * 1_048_576;

/** So many sessions' appends leave in one write: a write for each costs much, and one for all leaves Redis idle meanwhile. */
const SESSIONS_PER_WRITE = 16;

export function appendQueue(
  send: SessionStore['append'],
  inOneWrite: RedisConnection['inOneWrite'],
): AppendQueue {
  const waiting = new Map<string, Waiting>();

  function flush(sessionId: string): void {
    const group = waiting.get(sessionId);
    if (group === undefined) return;
    waiting.delete(sessionId);
    if (group.calls.length === 1) sendSingly(sessionId, group);
    else sendTogether(sessionId, group);
  }

  function flushAll(): void {
    const sessionIds = [...waiting.keys()];
    for (let i = 0; i < sessionIds.length; i += SESSIONS_PER_WRITE) {
      const some = sessionIds.slice(i, i + SESSIONS_PER_WRITE);
      // As a rule there is one, and nothing to hold back for.
      if (some.length === 1) some.forEach(flush);
      else inOneWrite(() => some.forEach(flush));
    }
  }

  function sendTogether(sessionId: string, { calls, limits, asOf }: Waiting): void {
    const events: AcceptedEvent[] = [];
    for (const call of calls) for (const event of call.events) events.push(event);
    send(sessionId, events, limits, asOf)
      .then((outcome) => {
        if (outcome.outcome === 'limit_exceeded') sendSingly(sessionId, { calls, limits, asOf });
        else settle(calls, outcome);
      })
      .catch((error: unknown) => {
        for (const { reject } of calls) reject(error);
      });
  }

  function sendSingly(
    sessionId: string,
    { calls, limits, asOf }: Pick<Waiting, 'calls' | 'limits' | 'asOf'>,
  ): void {
    for (const { events, resolve, reject } of calls)
      send(sessionId, events, limits, asOf).then(resolve, reject);
  }

  return {
    append: (sessionId, events, limits, asOf) =>
      new Promise((resolve, reject) => {
        const length = events.reduce((sum, { json }) => sum + json.length, 0);
        let group = waiting.get(sessionId);
        const fits =
          group !== undefined &&
          group.limits === limits &&
          group.asOf === asOf &&
          group.events + events.length <= MAX_EVENTS &&
          group.length + length <= MAX_LENGTH;
        if (!fits) flush(sessionId);
        if (group === undefined || !fits) {
          if (waiting.size === 0) process.nextTick(flushAll);
          group = { limits, asOf, calls: [], events: 0, length: 0 };
          waiting.set(sessionId, group);
        }
        group.calls.push({ events, resolve, reject });
        group.events += events.length;
        group.length += length;
      }),
    flush,
  };
}

/** Cuts the answer for all into one for each call, as if they had come one after the other. */
function settle(calls: readonly Call[], outcome: AppendOutcome): void {
  if (outcome.outcome !== 'appended') {
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

import type { CircuitBreaker } from '../core/circuit-breaker.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, ignoringUntilAwaited, isEventSessionsError, messageOf } from '../core/errors.js';
import { corruptEvent, isEnvelope, type StoredEvent } from '../core/event.js';
import type { Metrics } from '../core/metrics.js';
import { sessionCorrupt } from '../core/refusals.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import type { SessionStore } from '../ports/session-store.js';
import type { CommitLease } from './commit-lease.js';
import { backoffDelay, pause, type RetryPolicy } from './retry.js';

/**
 * Carries a session's events from the store to the broker, in order, within a window.
 *
 * A **batch** is a run of consecutive events, cut from a page of the store. It is published with one call per topic in it.
 * Up to `inFlight` batches are on their way at once, and a batch counts until the cursor behind it is confirmed by
 * the store. So whatever happens, no more than `inFlight` batches can be published a second time.
 *
 * When a batch fails, nothing new is sent until everything in flight has settled; then what failed is sent again
 * from the front, one batch at a time, before anything else. So a retry cannot overtake.
 */
export interface EventProcessor {
  run(session: ProcessedSession): Promise<ProcessResult>;
  /** Publishes events that are owed outside a commit, in order, without retries. */
  publishOwed(sessionId: string, events: readonly StoredEvent[]): Promise<OwedResult>;
}

export interface OwedResult {
  /** Not published now; ask again later. In order. */
  readonly left: readonly StoredEvent[];
  /** The broker will never take them. */
  readonly refused: readonly StoredEvent[];
  /** Why there is something left. */
  readonly error: EventSessionsError | undefined;
}

export interface ProcessedSession {
  readonly sessionId: string;
  /** How many events it has. */
  readonly events: number;
  readonly lease: CommitLease;
  /** Stops between batches. */
  readonly signal: AbortSignal | undefined;
}

/**
 * - `complete`: the cursor is behind the last event;
 * - `stopped`: the signal aborted;
 * - `lease_lost`: another attempt has taken over, or the lease ran out before it could be renewed.
 */
export type ProcessResult = 'complete' | 'stopped' | 'lease_lost';

export interface EventProcessorConfig extends RetryPolicy {
  readonly store: Pick<SessionStore, 'read'>;
  readonly publisher: Pick<EventPublisher, 'publish'>;
  readonly breaker: CircuitBreaker;
  /**
   * Takes what the broker can't, whose last attempt ended as `cause` says; undefined without contingency. Rejects
   * with `CONTINGENCY_FAILED`.
   */
  readonly defer:
    | ((sessionId: string, events: readonly StoredEvent[], cause: EventSessionsError) => Promise<void>)
    | undefined;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly inFlight: number;
}

/** What of a batch is still to be published: the events of one topic, in order. */
type Part = readonly StoredEvent[];

interface FailedPart {
  readonly part: Part;
  readonly error: EventSessionsError;
}

interface Settled {
  /** Events that went to the contingency log. */
  readonly deferred: number;
  /** Why, if the broker is given up for the rest of the session: what comes after a deferred event must not overtake it. */
  readonly brokerDown: EventSessionsError | undefined;
}

interface Sent {
  /** Sequence of the batch's last event. */
  readonly end: number;
  /** What of it failed. */
  readonly settled: Promise<readonly FailedPart[]>;
  /** Known at once, before `settled` tells: from then on nothing may be sent. */
  readonly failed: boolean;
}

/** What is read at once, if `batchBytes` allows it: a round trip to the store for several to the broker. */
const BATCHES_PER_PAGE = 2;

export function createEventProcessor(config: EventProcessorConfig): EventProcessor {
  const { store, publisher, breaker, events: domainEvents, metrics } = config;

  async function publishPart(sessionId: string, events: Part, onFailure: () => void): Promise<void> {
    const [first] = events;
    const last = events.at(-1);
    if (first === undefined || last === undefined) return;
    const { topic } = first;
    if (!breaker.allows()) {
      onFailure();
      const message = 'The broker has failed repeatedly and is not asked again yet';
      const facts = { sessionId, topic, outcome: 'not_done' } as const;
      throw new EventSessionsError('PUBLISH_FAILED', message, facts, breaker.lastFailure);
    }
    const startedAt = performance.now();
    try {
      await publisher.publish({ sessionId, topic, events });
    } catch (error) {
      onFailure();
      const failure = toPublishError(error, sessionId, topic);
      if (failure.outcome !== 'refused') breaker.failed(failure);
      throw failure;
    }
    breaker.succeeded();
    domainEvents.emit('batch.published', {
      sessionId,
      topic,
      events: events.length,
      firstSequence: first.sequence,
      lastSequence: last.sequence,
      durationMs: performance.now() - startedAt,
    });
  }

  /** Publishes the parts side by side and answers which of them failed. */
  async function publishParts(
    sessionId: string,
    parts: readonly Part[],
    onFailure: () => void = () => {},
  ): Promise<readonly FailedPart[]> {
    const results = await Promise.allSettled(parts.map((part) => publishPart(sessionId, part, onFailure)));
    return parts.flatMap((part, i) => {
      const result = results[i];
      return result?.status === 'rejected' ? [{ part, error: result.reason as EventSessionsError }] : [];
    });
  }

  /**
   * Sends again what failed until it is published, deferred, or (without contingency) given up. What is refused is not
   * sent again as it is, but taken apart once the rest is through.
   * Undefined when the attempt has to end first.
   */
  async function settle(
    session: ProcessedSession,
    failed: readonly FailedPart[],
  ): Promise<Settled | undefined> {
    const { sessionId, lease, signal } = session;
    const refused = failed.filter(isRefused);
    let left = failed.filter((one) => !isRefused(one));
    let uncertain: EventSessionsError | undefined;
    for (let retry = 1; retry <= config.retries && left.length > 0 && !breaker.down; retry += 1) {
      uncertain = left.find(isUnknown)?.error ?? uncertain;
      await pause(backoffDelay(config, retry), signal);
      if (signal?.aborted || !lease.holds()) return undefined;
      const again = await publishParts(sessionId, left.map(partOf));
      refused.push(...again.filter(isRefused));
      left = again.filter((one) => !isRefused(one));
    }
    if (left.length + refused.length === 0) return { deferred: 0, brokerDown: undefined };
    if (!lease.holds()) return undefined;
    const [down] = left;
    if (down !== undefined) {
      const cause = uncertain ?? worstOf(left);
      const deferred = await deferRest(sessionId, [...left, ...refused].map(partOf), cause);
      return { deferred, brokerDown: down.error };
    }
    const refusal = worstOf(refused);
    const singly = await publishSingly(sessionId, refused.map(partOf), () => lease.holds());
    if (singly.stopped) return undefined;
    const never = await deferRest(sessionId, [singly.refused], refusal);
    const unsent = await deferRest(sessionId, [singly.left], uncertain ?? singly.error ?? refusal);
    return { deferred: never + unsent, brokerDown: unsent > 0 ? singly.error : undefined };
  }

  async function deferRest(
    sessionId: string,
    parts: readonly Part[],
    error: EventSessionsError,
  ): Promise<number> {
    const rest = parts.flat().sort((a, b) => a.sequence - b.sequence);
    if (rest.length === 0) return 0;
    if (config.defer === undefined) throw error;
    await config.defer(sessionId, rest, error);
    return rest.length;
  }

  /**
   * One event that the broker refuses must not take its neighbours with it. What is behind an event that failed in
   * another way is left, so that order holds.
   */
  async function publishSingly(
    sessionId: string,
    parts: readonly Part[],
    mayPublish = () => true,
  ): Promise<OwedResult & { readonly stopped: boolean }> {
    const refused: StoredEvent[] = [];
    const left: StoredEvent[] = [];
    let error: EventSessionsError | undefined;
    for (const part of parts) {
      for (const [i, event] of part.entries()) {
        if (!mayPublish()) return { refused, left, error, stopped: true };
        const [failed] = await publishParts(sessionId, [[event]]);
        if (failed === undefined) continue;
        if (isRefused(failed)) {
          refused.push(event);
        } else {
          error = failed.error;
          left.push(...part.slice(i));
          break;
        }
      }
    }
    return { refused, left, error, stopped: false };
  }

  async function publishOnce(sessionId: string, events: readonly StoredEvent[]): Promise<OwedResult> {
    const failed = await publishParts(sessionId, byTopic(events));
    const down = failed.filter((one) => !isRefused(one));
    const singly = await publishSingly(sessionId, failed.filter(isRefused).map(partOf));
    return {
      left: [...down.flatMap(partOf), ...singly.left],
      refused: singly.refused,
      error: down.length > 0 ? worstOf(down) : singly.error,
    };
  }

  return {
    async publishOwed(sessionId, events) {
      const result = await publishOnce(sessionId, events);
      metrics.eventsRecovered(events.length - result.left.length - result.refused.length);
      return result;
    },

    async run(session) {
      const { sessionId, events, lease, signal } = session;
      /** Sent, the oldest first; not acknowledged as far as is known here. */
      const window: Sent[] = [];
      /** The cursor on its way to the store behind acknowledged batches, and how many those are. */
      let moving: Promise<boolean> | undefined;
      let behindMoving = 0;
      let brokerDown = config.defer !== undefined && lease.deferred > 0 ? owedBefore(sessionId) : undefined;

      function send(end: number, parts: readonly Part[]): void {
        if (brokerDown !== undefined) {
          const error = notSent(brokerDown, sessionId);
          const failed = parts.map((part) => ({ part, error }));
          window.push({ end, settled: Promise.resolve(failed), failed: true });
          return;
        }
        const state = { failed: false };
        const settled = publishParts(sessionId, parts, () => {
          state.failed = true;
        });
        window.push(Object.assign(state, { end, settled }));
      }

      /** What the cursor has not moved past is published, and counted, by the next attempt. */
      async function moveCursor(end: number, deferred: number): Promise<boolean> {
        const published = end - lease.cursor - deferred;
        if (!(await lease.advance(end, lease.deferred + deferred))) return false;
        metrics.eventsPublished(published);
        metrics.eventsDeferred(deferred);
        return true;
      }

      /** Resolves when the store has confirmed the cursor. False when it has not taken it. */
      async function cursorMoved(): Promise<boolean> {
        const moved = await (moving ?? true);
        moving = undefined;
        behindMoving = 0;
        return moved;
      }

      async function settleFailed(failed: readonly FailedPart[]): Promise<number | undefined> {
        if (brokerDown !== undefined) return deferRest(sessionId, failed.map(partOf), worstOf(failed));
        const settled = await settle(session, failed);
        brokerDown = settled?.brokerDown;
        return settled?.deferred;
      }

      /**
       * Waits for the cursor, if it is on its way; else for the oldest `count` batches, and sends it on once for all of
       * them. False when the attempt has to end here.
       */
      async function settleOldest(count: number): Promise<boolean> {
        if (moving !== undefined || window.length === 0) return cursorMoved();
        const oldest = window.slice(0, count);
        for (const { settled } of oldest) if ((await settled).length > 0) break;
        const failed = oldest.findIndex(({ failed }) => failed);
        const published = window.splice(0, failed === -1 ? count : failed);
        const last = published.at(-1);
        if (last !== undefined) {
          behindMoving = published.length;
          moving = ignoringUntilAwaited(moveCursor(last.end, 0));
          return true;
        }
        const batches = window.splice(0);
        const failures = await Promise.all(batches.map(({ settled }) => settled));
        for (const [i, { end }] of batches.entries()) {
          const failed = failures[i] ?? [];
          const deferred = failed.length === 0 ? 0 : await settleFailed(failed);
          if (deferred === undefined) return false;
          if (!(await moveCursor(end, deferred))) return false;
        }
        return true;
      }

      /** False when the attempt has to end here. */
      async function settleAll(): Promise<boolean> {
        while (window.length > 0 || moving !== undefined) {
          if (!(await settleOldest(window.length))) return false;
        }
        return true;
      }

      const unconfirmed = () => window.length + behindMoving;
      const ended = () => (signal?.aborted ? 'stopped' : 'lease_lost');
      const read = (after: number) =>
        store.read(sessionId, {
          after,
          limit: Math.min(BATCHES_PER_PAGE * config.batchEvents, events - after),
          maxBytes: config.batchBytes,
        });

      /** While a page is sent, the next one is on its way. */
      async function* batches() {
        let end = lease.cursor;
        let next = end < events ? read(end) : undefined;
        while (next !== undefined) {
          const page = await next;
          const last = page.at(-1);
          if (last === undefined) throw sessionCorrupt(sessionId, events, end);
          end = last.sequence;
          next = end < events ? ignoringUntilAwaited(read(end)) : undefined;
          for (let from = 0; from < page.length; from += config.batchEvents) {
            yield page.slice(from, from + config.batchEvents);
          }
        }
      }

      try {
        for await (const batch of batches()) {
          const foreign = batch.find((event) => !isEnvelope(event.utf8 ?? event.json));
          if (foreign !== undefined) {
            // Those before it do not come again with the next attempt, which gets no further.
            if (!(await settleAll())) return ended();
            throw corruptEvent(sessionId, foreign.sequence);
          }
          while (unconfirmed() >= config.inFlight || window.some(({ failed }) => failed)) {
            // Half of them: so the cursor moves once for several, and the broker still has something to do.
            if (!(await settleOldest(Math.ceil(window.length / 2)))) return ended();
          }
          if (signal?.aborted || !lease.holds()) break;
          send(batch.at(-1)?.sequence ?? 0, byTopic(batch));
        }
        if (!(await settleAll())) return ended();
        return lease.cursor === events ? 'complete' : ended();
      } finally {
        await Promise.all(window.map(({ settled }) => settled));
        await moving?.catch(() => {});
      }
    },
  };
}

const partOf = ({ part }: FailedPart): Part => part;
const isRefused = ({ error }: FailedPart): boolean => error.outcome === 'refused';
const isUnknown = ({ error }: FailedPart): boolean => error.outcome === 'unknown';

/** The error to tell of all of them: what may have been published counts most. There is at least one. */
function worstOf(failed: readonly FailedPart[]): EventSessionsError {
  const { error } = (failed.find(isUnknown) ?? failed[0]) as FailedPart;
  return error;
}

function byTopic(events: readonly StoredEvent[]): Part[] {
  const [first] = events;
  if (events.every(({ topic }) => topic === first?.topic)) return [events];
  const topics = new Map<string, StoredEvent[]>();
  for (const event of events) {
    const part = topics.get(event.topic);
    if (part === undefined) topics.set(event.topic, [event]);
    else part.push(event);
  }
  return [...topics.values()];
}

/** An attempt before this one has left events in the log; what is behind them must not overtake them. */
function owedBefore(sessionId: string): EventSessionsError {
  const message = 'Events before these are in the contingency log';
  return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, outcome: 'not_done' });
}

function notSent(brokerDown: EventSessionsError, sessionId: string): EventSessionsError {
  const message = `Not sent after: ${brokerDown.message}`;
  return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, outcome: 'not_done' }, brokerDown);
}

/** With the session in it, whoever wrote the publisher: what to do about it is a matter of the session. */
function toPublishError(error: unknown, sessionId: string, topic: string): EventSessionsError {
  if (!isEventSessionsError(error, 'PUBLISH_FAILED')) {
    const outcome = (isEventSessionsError(error) && error.outcome) || 'unknown';
    const message = `The publisher failed: ${messageOf(error)}`;
    return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, topic, outcome }, error);
  }
  if (error.sessionId === sessionId) return error;
  const { message, eventId, limit, actual, outcome } = error;
  const facts = { sessionId, topic: error.topic ?? topic, eventId, limit, actual, outcome };
  return new EventSessionsError('PUBLISH_FAILED', message, facts, error.cause ?? error);
}

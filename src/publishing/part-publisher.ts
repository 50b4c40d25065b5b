import type { CircuitBreaker } from '../core/circuit-breaker.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, isEventSessionsError, messageOf } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import type { EventPublisher } from '../ports/event-publisher.js';

/** What of a batch goes out with one call of the publisher: the events of one topic, in order. */
export type Part = readonly StoredEvent[];

export interface FailedPart {
  readonly part: Part;
  readonly error: EventSessionsError;
}

export interface PublishResult {
  /** Not published, in order. */
  readonly left: readonly StoredEvent[];
  /** The broker will never take them. */
  readonly refused: readonly StoredEvent[];
  /** Why there is something left. */
  readonly error: EventSessionsError | undefined;
}

/** The calls of the publisher, through the circuit breaker. */
export interface PartPublisher {
  /**
   * Publishes the parts side by side and returns which of them failed. Calls `onFailure` as soon as one has,
   * before the others have been answered.
   */
  publish(sessionId: string, parts: readonly Part[], onFailure?: () => void): Promise<readonly FailedPart[]>;
  /**
   * Publishes event by event: one that the broker refuses must not take its neighbours with it. What comes after an
   * event that failed in another way is left, so that order holds. `stopped`: as soon as `mayPublish` said no.
   */
  publishSingly(
    sessionId: string,
    parts: readonly Part[],
    mayPublish?: () => boolean,
  ): Promise<PublishResult & { readonly stopped: boolean }>;
}

export interface PartPublisherConfig {
  readonly publisher: Pick<EventPublisher, 'publish'>;
  readonly breaker: CircuitBreaker;
  readonly events: DomainEvents;
}

export function createPartPublisher({
  publisher,
  breaker,
  events: domainEvents,
}: PartPublisherConfig): PartPublisher {
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

  async function publish(
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

  return {
    publish,

    async publishSingly(sessionId, parts, mayPublish = () => true) {
      const refused: StoredEvent[] = [];
      const left: StoredEvent[] = [];
      let error: EventSessionsError | undefined;
      for (const part of parts) {
        for (const [i, event] of part.entries()) {
          if (!mayPublish()) return { refused, left, error, stopped: true };
          const [failed] = await publish(sessionId, [[event]]);
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
    },
  };
}

export const partOf = ({ part }: FailedPart): Part => part;
export const isRefused = ({ error }: FailedPart): boolean => error.outcome === 'refused';
export const isUnknown = ({ error }: FailedPart): boolean => error.outcome === 'unknown';

/** The error to tell of all of them: what may have been published counts most. There is at least one. */
export function worstOf(failed: readonly FailedPart[]): EventSessionsError {
  const { error } = (failed.find(isUnknown) ?? failed[0]) as FailedPart;
  return error;
}

export function byTopic(events: readonly StoredEvent[]): Part[] {
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

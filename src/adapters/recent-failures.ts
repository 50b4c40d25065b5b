import type { EventSessionsError } from '../core/errors.js';
import type { PublishBatch } from '../ports/event-publisher.js';

interface RecentFailure extends BatchPlace {
  readonly error: EventSessionsError;
}

/**
 * The failures that their callers may not know of yet.
 *
 * One piece of data from the socket can acknowledge one batch and fail the next. The caller is told of the first
 * before the second, and may well publish a third in between: to that caller the second is still in progress, so the
 * third must not get through. Callers know when the event loop goes round; until then a batch of the same session and
 * topic that lies behind a failed one is turned away. One that begins at the failed one or before it repeats it.
 * A single event that was refused for good is no part of this: it will never come, so nothing can overtake it. Its
 * neighbours in a batch may.
 */
export interface RecentFailures {
  add(batch: BatchPlace, error: EventSessionsError): void;
  /** The failure that stands before this batch. */
  before(batch: BatchPlace): EventSessionsError | undefined;
}

export interface BatchPlace {
  readonly sessionId: string;
  readonly topic: string;
  /** Of its first event. */
  readonly sequence: number;
  readonly events: number;
}

export function placeOf({ sessionId, topic, events }: PublishBatch): BatchPlace {
  return { sessionId, topic, sequence: events[0]?.sequence ?? 0, events: events.length };
}

export function recentFailures(): RecentFailures {
  let failures: RecentFailure[] = [];
  const forget = () => {
    failures = [];
  };
  return {
    add({ sessionId, topic, sequence, events }, error) {
      if (error.outcome === 'refused' && events === 1) return;
      if (failures.length === 0) setImmediate(forget);
      failures.push({ sessionId, topic, sequence, events, error });
    },
    before(batch) {
      if (failures.length === 0) return undefined;
      const sameLine = (failure: RecentFailure) =>
        failure.sessionId === batch.sessionId && failure.topic === batch.topic;
      failures = failures.filter((failure) => !sameLine(failure) || failure.sequence < batch.sequence);
      return failures.find(sameLine)?.error;
    },
  };
}

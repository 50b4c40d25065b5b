import type { PublishBatch } from '../ports/event-publisher.js';

interface RecentFailure {
  readonly sessionId: string;
  readonly topic: string;
  readonly sequence: number;
  readonly error: Error;
}

/**
 * The failures that their callers may not know of yet.
 *
 * One piece of data from the socket can acknowledge one batch and fail the next. The caller is told of the first
 * before the second, and may well publish a third in between: to that caller the second is still in progress, so the
 * third must not get through. Callers know when the event loop goes round; until then a batch of the same session and
 * topic that lies behind a failed one is turned away. One that begins at the failed one or before it repeats it.
 * What was refused for good is no part of this: it will never come, so nothing can overtake it.
 */
export interface RecentFailures {
  add(batch: BatchPlace, error: Error): void;
  /** The failure that stands before this batch. */
  before(batch: BatchPlace): Error | undefined;
}

export type BatchPlace = Pick<RecentFailure, 'sessionId' | 'topic' | 'sequence'>;

export function placeOf({ sessionId, topic, events }: PublishBatch): BatchPlace {
  return { sessionId, topic, sequence: events[0]?.sequence ?? 0 };
}

export function recentFailures(): RecentFailures {
  let failures: RecentFailure[] = [];
  const forget = () => {
    failures = [];
  };
  return {
    add({ sessionId, topic, sequence }, error) {
      if (failures.length === 0) setImmediate(forget);
      failures.push({ sessionId, topic, sequence, error });
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

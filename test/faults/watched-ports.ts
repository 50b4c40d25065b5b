import type { ContingencyLog, EventPublisher } from 'event-sessions';
import { isEventSessionsError } from 'event-sessions';
import { eventIdOf } from '../../src/core/event.js';
import type { History } from '../campaign/history.js';

/** Writes down every call before it is made, and how it ended. */
export function watchedPublisher(publisher: EventPublisher, history: History): EventPublisher {
  let calls = 0;
  return {
    ...publisher,
    async publish(batch) {
      calls += 1;
      const call = calls;
      const { sessionId, topic } = batch;
      const events = batch.events.map(({ sequence, json }) => [sequence, eventIdOf(json)] as const);
      history.write({ kind: 'publish', call, sessionId, topic, events });
      try {
        await publisher.publish(batch);
      } catch (error) {
        const outcome = (isEventSessionsError(error) && error.outcome) || 'unknown';
        history.write({ kind: 'publish_failed', call, outcome });
        throw error;
      }
      history.write({ kind: 'published', call });
    },
  };
}

/** Writes down what is appended, before it is. */
export function watchedLog(log: ContingencyLog, history: History): ContingencyLog {
  return {
    ...log,
    append(records) {
      history.write({
        kind: 'recording',
        records: records.map((record) => ({
          kind: record.kind,
          sessionId: record.sessionId,
          ...('event' in record && { eventId: eventIdOf(record.event) }),
        })),
      });
      return log.append(records);
    },
  };
}

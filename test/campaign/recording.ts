import {
  type CommitReceipt,
  type EventSessions,
  isEventSessionsError,
  type RollbackReceipt,
} from 'event-sessions';
import type { AddManyReceipt } from '../../src/commands/add-events.js';
import type { StartReceipt } from '../../src/commands/start-session.js';
import { eventIdOf } from '../../src/core/event.js';
import type { ContingencyLog } from '../../src/ports/contingency-log.js';
import type { EventPublisher } from '../../src/ports/event-publisher.js';
import type { AddedEvent, Command, Failure, History, Receipt } from './history.js';

/** The publisher, with every call in the history before it is made, and what came of it. */
export function recordedPublisher(publisher: EventPublisher, history: History): EventPublisher {
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
        const outcome = isEventSessionsError(error) ? (error.outcome ?? 'unknown') : 'unknown';
        history.write({ kind: 'publish_failed', call, outcome });
        throw error;
      }
      history.write({ kind: 'published', call });
    },
  };
}

/** The contingency log, with what is appended to it in the history before and after, and when it is sealed. */
export function recordedContingency(log: ContingencyLog, history: History): ContingencyLog {
  let appends = 0;
  return {
    ...log,
    async append(records) {
      appends += 1;
      const append = appends;
      history.write({
        kind: 'recording',
        append,
        records: records.map((record) => ({
          kind: record.kind,
          sessionId: record.sessionId,
          ...('event' in record ? { eventId: eventIdOf(record.event) } : {}),
        })),
      });
      await log.append(records);
      history.write({ kind: 'recorded', append });
    },
    async seal() {
      history.write({ kind: 'sealing' });
      const sealed = await log.seal();
      history.write({ kind: 'sealed' });
      return sealed;
    },
  };
}

/** Commit attempts, of the service's own commands and of its recovery. */
export function recordAttempts(sessions: EventSessions, history: History): void {
  sessions.on('session.committing', ({ sessionId, epoch, events, cursor }) => {
    history.write({ kind: 'committing', sessionId, epoch, events, cursor });
  });
  sessions.on('session.committed', ({ sessionId }) => history.write({ kind: 'committed', sessionId }));
}

/** The commands of a service, each in the history with its call and what came of it. Failures are thrown on. */
export interface RecordedCommands {
  start(input: { sessionId: string; ttl?: number }): Promise<StartReceipt>;
  /** Each event's data is `{ tag }`, or what `dataOf` makes of it; its type is its topic. */
  add(sessionId: string, events: readonly AddedEvent[]): Promise<AddManyReceipt>;
  commit(sessionId: string, expectedEvents?: number): Promise<CommitReceipt>;
  rollback(sessionId: string): Promise<RollbackReceipt>;
}

export function recordedCommands(
  { commands }: EventSessions,
  history: History,
  dataOf: (tag: string) => unknown = (tag) => ({ tag }),
): RecordedCommands {
  let ops = 0;

  async function recorded<R extends Receipt>(command: Command, call: () => Promise<R>): Promise<R> {
    ops += 1;
    const op = ops;
    history.write({ kind: 'invoke', op, ...command });
    try {
      const receipt = await call();
      history.write({ kind: 'ok', op, receipt });
      return receipt;
    } catch (error) {
      history.write({ kind: 'fail', op, ...failureOf(error) });
      throw error;
    }
  }

  return {
    start: (input) => recorded({ command: 'start', ...input }, () => commands.startSession(input)),
    add: (sessionId, events) =>
      recorded({ command: 'add', sessionId, events }, () =>
        commands.addEvents({
          sessionId,
          events: events.map(({ id, tag, topic }) => ({ type: topic, data: dataOf(tag), topic, id })),
        }),
      ),
    commit: (sessionId, expectedEvents) =>
      recorded({ command: 'commit', sessionId, expectedEvents }, () =>
        commands.commitSession({ sessionId, expectedEvents }),
      ),
    rollback: (sessionId) =>
      recorded({ command: 'rollback', sessionId }, () => commands.rollbackSession({ sessionId })),
  };
}

function failureOf(error: unknown): Failure {
  if (!isEventSessionsError(error)) return { code: 'unexpected', message: String(error) };
  const { code, message, outcome, status, limit } = error;
  return { code, message, outcome, status, limit };
}

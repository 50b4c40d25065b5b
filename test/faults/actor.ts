import {
  createEventSessions,
  type EventPublisher,
  isEventSessionsError,
  type SessionStore,
} from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { redisStore } from 'event-sessions/redis';
import type { Command, Failure, History, Receipt } from '../campaign/history.js';
import { LOG, logOf, redisPrefix, type Topics } from './case.js';
import type { RedisBorder } from './redis-border.js';
import type { Actor } from './scenarios/stage.js';
import { watchedLog, watchedPublisher } from './watched-ports.js';

/** Small batches, so that a commit has several; a short lease, so that whoever takes it over need not wait long. */
const COMMIT = { batchEvents: 2, inFlight: 2, leaseMs: 400, retries: 1 };

export interface ActorConfig {
  readonly id: string;
  readonly folder: string;
  readonly topics: Topics;
  readonly redis: RedisBorder;
  readonly publisher: EventPublisher;
  readonly history: History;
  readonly phase: <T>(name: string, work: () => Promise<T>) => Promise<T>;
  /** Told of every call of the store. */
  readonly onStoreCall?: (method: string) => void;
}

export function createActor(config: ActorConfig): Actor {
  const { redis, history, phase } = config;
  const store = redisStore({ client: redis, prefix: redisPrefix(config.id), deadlineMs: 10_000 });
  const sessions = createEventSessions({
    store: config.onStoreCall === undefined ? store : tellingStore(store, config.onStoreCall),
    publisher: watchedPublisher(config.publisher, history),
    contingency: watchedLog(fileContingency({ path: logOf(config.folder) }), history),
    commit: COMMIT,
    recovery: false,
    logger: false,
    instanceId: history.process,
  });
  let ops = 0;
  let closed = false;

  history.write({ kind: 'started', log: LOG });
  sessions.on('session.committing', ({ sessionId, epoch, events, cursor }) => {
    history.write({ kind: 'committing', sessionId, epoch, events, cursor });
  });

  sessions.on('session.committed', ({ sessionId }) => {
    history.write({ kind: 'committed', sessionId });
  });

  async function run(command: Command, work: () => Promise<Receipt>): Promise<void> {
    ops += 1;
    const op = ops;
    history.write({ kind: 'invoke', op, ...command });
    try {
      const receipt = await phase(command.command, work);
      history.write({ kind: 'ok', op, receipt });
    } catch (error) {
      history.write({ kind: 'fail', op, ...failureOf(error) });
    }
  }

  const eventOf = (sessionId: string, name: string) => ({
    id: `${sessionId}-${name}`,
    tag: name,
    topic: config.topics[name.startsWith('a') ? 0 : 1],
  });

  const addAll = (sessionId: string, names: readonly string[]) => {
    const events = names.map((name) => eventOf(sessionId, name));
    return run({ command: 'add', sessionId, events }, () =>
      sessions.commands.addEvents({
        sessionId,
        events: events.map(({ id, tag, topic }) => ({ type: 'step', id, data: tag, topic })),
      }),
    );
  };

  return {
    redis,
    sessions,
    start: (sessionId, ttl) =>
      run({ command: 'start', sessionId, ttl }, () => sessions.commands.startSession({ sessionId, ttl })),
    add: (sessionId, event) => addAll(sessionId, [event]),
    addMany: (sessionId, ...events) => addAll(sessionId, events),
    commit: (sessionId) =>
      run({ command: 'commit', sessionId }, () => sessions.commands.commitSession({ sessionId })),
    rollback: (sessionId) =>
      run({ command: 'rollback', sessionId }, () => sessions.commands.rollbackSession({ sessionId })),

    async recover() {
      try {
        const report = await phase('recover', () => sessions.recover());
        history.write({ kind: 'recovered', failed: false, report });
      } catch (error) {
        mustBeOurs(error);
        history.write({ kind: 'recovered', failed: true });
      }
    },

    async ask(name, question) {
      await phase(name, () => question(sessions)).catch(mustBeOurs);
    },

    async close() {
      if (closed) return;
      closed = true;
      await phase('close', () => sessions.close());
      history.write({ kind: 'ended' });
    },
  };
}

function tellingStore(store: SessionStore, tell: (method: string) => void): SessionStore {
  const methods = Object.entries(store).map(([name, method]) => [
    name,
    (...args: unknown[]) => {
      tell(name);
      return (method as (...args: unknown[]) => unknown)(...args);
    },
  ]);
  return Object.fromEntries(methods) as SessionStore;
}

function failureOf(error: unknown): Failure {
  if (!isEventSessionsError(error)) return { code: 'unexpected', message: String(error) };
  const { code, message, outcome, status, limit } = error;
  return { code, message, outcome, status, limit };
}

function mustBeOurs(error: unknown): void {
  if (!isEventSessionsError(error)) throw error;
}

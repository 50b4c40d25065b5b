import {
  createEventSessions,
  type EventPublisher,
  isEventSessionsError,
  type SessionStore,
} from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { redisStore } from 'event-sessions/redis';
import type { History } from '../campaign/history.js';
import {
  recordAttempts,
  recordedCommands,
  recordedContingency,
  recordedPublisher,
} from '../campaign/recording.js';
import { LOG, logOf, redisPrefix, type Topics } from './case.js';
import type { RedisBorder } from './redis-border.js';
import type { Actor } from './scenarios/stage.js';

/** Small batches, so that a commit has several; a short lease, so that whoever takes it over need not wait long. */
const COMMIT = { batchEvents: 2, inFlight: 2, leaseMs: 400, retries: 1 };
/** Events that one interruption of a commit may publish again. */
export const WINDOW = COMMIT.batchEvents * COMMIT.inFlight;

export interface ActorConfig {
  readonly id: string;
  readonly folder: string;
  readonly topics: Topics;
  readonly redis: RedisBorder;
  readonly publisher: EventPublisher;
  readonly history: History;
  readonly phase: <T>(name: string, work: () => T) => T;
  /** Told of every call of the store. */
  readonly onStoreCall?: (method: string) => void;
}

export function createActor(config: ActorConfig): Actor {
  const { redis, history, phase } = config;
  const store = redisStore({ client: redis, prefix: redisPrefix(config.id), deadlineMs: 10_000 });
  const log = phase('make', () => fileContingency({ path: logOf(config.folder) }));
  const sessions = createEventSessions({
    store: config.onStoreCall === undefined ? store : tellingStore(store, config.onStoreCall),
    publisher: recordedPublisher(config.publisher, history),
    contingency: recordedContingency(log, history),
    commit: COMMIT,
    // How long recovery waits for the start of a session that nobody knows; each session is given a time of its own.
    ttl: 50,
    recovery: false,
    logger: false,
    instanceId: history.process,
  });
  const commands = recordedCommands(sessions, history, (tag) => tag);
  let closed = false;
  history.write({ kind: 'started', log: LOG });
  recordAttempts(sessions, history);

  /** A failure is in the history: the checker decides on it. */
  const run = async (name: string, command: () => Promise<unknown>) => {
    await phase(name, command).catch(() => {});
  };

  const add = (sessionId: string, names: readonly string[]) => {
    const [a, b] = config.topics;
    const events = names.map((name) => ({
      id: `${sessionId}-${name}`,
      tag: name,
      topic: name.startsWith('a') ? a : b,
    }));
    return run('add', () => commands.add(sessionId, events));
  };

  return {
    redis,
    sessions,
    start: (sessionId, ttl = 60_000) => run('start', () => commands.start({ sessionId, ttl })),
    add: (sessionId, event) => add(sessionId, [event]),
    addMany: (sessionId, ...events) => add(sessionId, events),
    commit: (sessionId) => run('commit', () => commands.commit(sessionId)),
    rollback: (sessionId) => run('rollback', () => commands.rollback(sessionId)),

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
      history.close();
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

function mustBeOurs(error: unknown): void {
  if (!isEventSessionsError(error)) throw error;
}

import { createEventSessions, type EventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import type { ContingencyLog } from '../../src/ports/contingency-log.js';
import type { EventPublisher } from '../../src/ports/event-publisher.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import type { History } from './history.js';
import { type MutationName, mutated } from './mutations.js';
import { recordAttempts, recordedContingency, recordedPublisher } from './recording.js';
import { COMMIT, NSQ, RECOVERY_INTERVAL_MS, REDIS_DEADLINE_MS } from './settings.js';

/** The three ports of an instance. */
export interface Ports {
  readonly store: SessionStore;
  readonly publisher: EventPublisher;
  readonly contingency: ContingencyLog;
}

export interface ServiceConfig {
  readonly redis: string;
  readonly nsqd: readonly string[];
  readonly log: LogConfig;
  /** By itself, every {@link RECOVERY_INTERVAL_MS}; or else only when it is told to. */
  readonly recovers: boolean;
  readonly mutation?: MutationName | undefined;
}

export interface LogConfig {
  readonly name: string;
  readonly path: string;
  readonly maxBytes?: number | undefined;
}

export interface Service {
  readonly sessions: EventSessions;
  readonly contingency: ContingencyLog;
  /** A recovery pass, in the history with what came of it. */
  recover(): Promise<{ complete: boolean; remaining: number }>;
}

/** The library on the real adapters, with everything that it does to them in the history. */
export function startService(config: ServiceConfig, history: History): Service {
  const { path, maxBytes } = config.log;
  const real: Ports = {
    store: redisStore({ url: config.redis, deadlineMs: REDIS_DEADLINE_MS }),
    publisher: recordedPublisher(nsqPublisher({ nsqd: config.nsqd, ...NSQ }), history),
    contingency: recordedContingency(
      fileContingency(maxBytes === undefined ? { path } : { path, maxBytes }),
      history,
    ),
  };
  const ports = config.mutation === undefined ? real : mutated(config.mutation, real);
  const silent = () => {};
  let unmarked = false;
  const sessions = createEventSessions({
    source: '/chaos',
    ...ports,
    commit: COMMIT,
    recovery: config.recovers ? { intervalMs: RECOVERY_INTERVAL_MS } : false,
    logger: {
      debug: silent,
      info: silent,
      warn(message) {
        if (message === 'A recovery pass failed') history.write({ kind: 'recovered', failed: true });
        if (message === 'What is recovered could not be marked') unmarked = true;
      },
      error(message) {
        if (message === 'The sealed part of the contingency log could not be cleared') unmarked = true;
      },
    },
  });
  recordAttempts(sessions, history);
  return {
    sessions,
    contingency: ports.contingency,
    async recover() {
      try {
        const report = await sessions.recover();
        history.write({ kind: 'recovered', failed: unmarked, report });
        unmarked = false;
        return report;
      } catch (error) {
        history.write({ kind: 'recovered', failed: true });
        throw error;
      }
    },
  };
}

import { memoryContingency, memoryPublisher, memoryStore } from 'event-sessions';
import { createAddEvents } from '../../../src/commands/add-events.js';
import { createCommitSession } from '../../../src/commands/commit-session.js';
import { createExtendSession } from '../../../src/commands/extend-session.js';
import { createRollbackSession } from '../../../src/commands/rollback-session.js';
import { createStartSession } from '../../../src/commands/start-session.js';
import { createHeldRecords } from '../../../src/contingency/held-records.js';
import { knownEnds } from '../../../src/contingency/known-ends.js';
import { createSessionRepository } from '../../../src/contingency/session-repository.js';
import { createAcceptEvent } from '../../../src/core/accept-event.js';
import { type Catalogue, createCatalogue } from '../../../src/core/catalogue.js';
import {
  createDomainEvents,
  type DomainEvent,
  type DomainEventType,
} from '../../../src/core/domain-events.js';
import { type EventSessionsError, isEventSessionsError } from '../../../src/core/errors.js';
import { createMetrics } from '../../../src/core/metrics.js';
import { silentLogger } from '../../../src/core/safe-logger.js';
import type { ContingencyLog } from '../../../src/ports/contingency-log.js';
import type { PublishBatch } from '../../../src/ports/event-publisher.js';
import type { SessionLimits, SessionStore } from '../../../src/ports/session-store.js';
import { createEventProcessor } from '../../../src/publishing/event-processor.js';
import { createGetMetrics } from '../../../src/queries/get-metrics.js';
import { createGetSessionEvents } from '../../../src/queries/get-session-events.js';
import { createGetSessionStatus } from '../../../src/queries/get-session-status.js';
import { createListSessions } from '../../../src/queries/list-sessions.js';
import { breakerAfter } from '../../support/breaker.js';

export const TTL_MS = 60_000;
export const RETENTION_MS = 600_000;
export const LEASE_MS = 15_000;

export interface HandlerOptions {
  /** Stands in front of the memory store: gives the methods that are to act differently. */
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  readonly log?: ContingencyLog | false;
  readonly onPublish?: (batch: PublishBatch) => void | Promise<void>;
  readonly limits?: Partial<SessionLimits>;
  readonly catalogue?: Catalogue;
  readonly batchEvents?: number;
  readonly inFlight?: number;
}

const TOLD: readonly DomainEventType[] = [
  'session.started',
  'event.added',
  'session.committing',
  'batch.published',
  'session.committed',
  'session.rolled_back',
  'contingency.recorded',
];

/** Every handler on memory adapters, with a clock to turn, put together as `createEventSessions` does it. */
export function handlers(options: HandlerOptions = {}) {
  const clock = { now: 1_700_000_000_000 };
  const memory = memoryStore({ now: () => clock.now });
  const store: SessionStore = { ...memory, ...options.store?.(memory) };
  const log = options.log === false ? undefined : (options.log ?? memoryContingency());
  const publisher = memoryPublisher(options.onPublish === undefined ? {} : { onPublish: options.onPublish });
  const events = createDomainEvents('instance-1', silentLogger);
  const metrics = createMetrics('instance-1');
  const held = createHeldRecords(1_000_000);
  const replay = { instance: 'instance-1', retentionMs: RETENTION_MS };
  const repository = createSessionRepository({
    store,
    breaker: breakerAfter(100),
    ends: knownEnds(60_000),
    contingency: log && { log, held, events, metrics, logger: silentLogger, recover: async () => {}, replay },
  });
  const processor = createEventProcessor({
    store,
    publisher,
    breaker: breakerAfter(100),
    defer: repository.deferral?.publish,
    events,
    metrics,
    batchEvents: options.batchEvents ?? 2,
    batchBytes: 1_000_000,
    inFlight: options.inFlight ?? 1,
    retries: 0,
    backoffMs: 1,
  });
  const accept = createAcceptEvent({
    source: '/test',
    catalogue: createCatalogue(options.catalogue),
    topic: undefined,
    maxDepth: 100,
    maxEventBytes: 10_000,
  });
  const closing = new AbortController();
  const context = {
    repository,
    processor,
    events,
    metrics,
    logger: silentLogger,
    instanceId: 'instance-1',
    ttlMs: TTL_MS,
    retentionMs: RETENTION_MS,
    leaseMs: LEASE_MS,
    closing: closing.signal,
    over: new AbortController().signal,
    unconfirmed: new Map(),
  };
  const limits = { maxSessionEvents: 1_000, maxSessionBytes: 1_000_000, ...options.limits };

  const told: DomainEvent[] = [];
  for (const type of TOLD) events.on(type, (event) => told.push(event));

  return {
    clock,
    closing,
    log,
    memory,
    metrics: () => metrics.snapshot({ active: undefined, contingency: undefined }),
    publisher,
    published: () => publisher.published.map(({ event }) => event.data),
    told,
    /** The types of the domain events so far. */
    toldTypes: () => told.map(({ type }) => type),
    startSession: createStartSession(context),
    addEvents: createAddEvents({ ...context, accept, limits }),
    commitSession: createCommitSession(context),
    rollbackSession: createRollbackSession(context),
    extendSession: createExtendSession(context),
    getSessionStatus: createGetSessionStatus(context),
    getSessionEvents: createGetSessionEvents(context),
    listSessions: createListSessions(context),
    getMetrics: createGetMetrics({ repository, log, metrics }),
  };
}

export type Handlers = ReturnType<typeof handlers>;

/** A started session with events whose data are 1, 2, 3, … */
export async function sessionOf(on: Handlers, events = 0, sessionId = 's-1'): Promise<string> {
  await on.startSession({ sessionId });
  if (events > 0)
    await on.addEvents({
      sessionId,
      events: Array.from({ length: events }, (_, i) => ({ type: 'a', data: i + 1 })),
    });
  return sessionId;
}

/** What a call is refused with. Any error that is not one of ours fails the test. */
export async function refusalOf(call: () => unknown): Promise<EventSessionsError> {
  try {
    await call();
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

export const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

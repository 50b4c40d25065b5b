import { hostname } from 'node:os';
import * as z from 'zod/mini';
import { memoryContingency } from './adapters/memory/memory-contingency.js';
import { memoryPublisher } from './adapters/memory/memory-publisher.js';
import { memoryStore } from './adapters/memory/memory-store.js';
import { createAddEvents } from './commands/add-events.js';
import type { Commands } from './commands/commands.js';
import { createCommitSession } from './commands/commit-session.js';
import { createExtendSession } from './commands/extend-session.js';
import { createRollbackSession } from './commands/rollback-session.js';
import { createStartSession } from './commands/start-session.js';
import { createHeldRecords } from './contingency/held-records.js';
import { knownEnds } from './contingency/known-ends.js';
import { createRecovery } from './contingency/recovery.js';
import type { RecoverOptions, RecoveryProgress } from './contingency/recovery-pass.js';
import { createSessionRepository, type SessionRepository } from './contingency/session-repository.js';
import { createAcceptEvent } from './core/accept-event.js';
import { type Catalogue, createCatalogue } from './core/catalogue.js';
import { asProbe, createCircuitBreaker } from './core/circuit-breaker.js';
import { createDomainEvents } from './core/domain-events.js';
import { messageOf } from './core/errors.js';
import { newId } from './core/ids.js';
import { createMetrics } from './core/metrics.js';
import { safeInstrumentation } from './core/safe-instrumentation.js';
import { loggerOf } from './core/safe-logger.js';
import { functionOf, idSchema, sessionIdOf, timerMs, validate } from './core/validate.js';
import type { EventSessions } from './event-sessions.js';
import { checkHealth } from './health.js';
import { createInstance } from './instance.js';
import { type EventSessionsOptions, resolveOptions } from './options.js';
import type { PublishBatch } from './ports/event-publisher.js';
import type { CommandName } from './ports/instrumentation.js';
import type { SessionStore } from './ports/session-store.js';
import { createEventProcessor } from './publishing/event-processor.js';
import { createGetMetrics } from './queries/get-metrics.js';
import { createGetSessionEvents } from './queries/get-session-events.js';
import { createGetSessionStatus } from './queries/get-session-status.js';
import { createListSessions } from './queries/list-sessions.js';
import type { Queries } from './queries/queries.js';
import { createSession, type Session } from './session.js';
import { createTransaction } from './transaction.js';

const recoverSchema = z.optional(
  z.strictObject({
    onProgress: z.optional(functionOf<(progress: RecoveryProgress) => unknown>('a function')),
  }),
);

const BREAKER_FAILURES = 5;
const BREAKER_PROBE_AFTER_MS = 5_000;
const RETRY_BACKOFF_MS = 200;
const CLOSE_TIMEOUT_MS = 15_000;
const closeSchema = z.strictObject({ timeoutMs: z._default(timerMs(), CLOSE_TIMEOUT_MS) });
/** A process that starts has usually just been restarted: what its predecessor left behind should not wait. */
const FIRST_RECOVERY_MS = 1_000;
const MAX_HELD_BYTES = 64 * 1_048_576;

/**
 * Creates an instance and starts its recovery loop. Every option has a default: without any, everything stays in the
 * memory of this process. It keeps no process running by itself.
 *
 * @throws `INVALID_INPUT` naming every invalid option, with what was expected.
 */
export function createEventSessions<const C extends Catalogue = Catalogue>(
  options: EventSessionsOptions<C> = {},
): EventSessions<C> {
  const resolved = resolveOptions(options);
  const { limits, commit, ttl: ttlMs, retention: retentionMs } = resolved;
  const instanceId =
    resolved.instanceId ?? `${hostname().slice(0, 64)}-${process.pid}-${newId().slice(0, 6)}`;
  const logger = loggerOf(resolved.logger);

  const store = resolved.store ?? memoryStore();
  const publisher = resolved.publisher ?? memoryPublisher();
  const { observed, traceContext } = safeInstrumentation(resolved.instrumentation, logger);
  const log = resolved.contingency === false ? undefined : (resolved.contingency ?? memoryContingency());

  const events = createDomainEvents(instanceId, logger);
  const metrics = createMetrics(instanceId);
  const instance = createInstance(metrics);
  const replay = { instance: instanceId, retentionMs };

  const breakerOf = (part: 'store' | 'publisher', probe: () => Promise<void>) =>
    createCircuitBreaker({
      failures: BREAKER_FAILURES,
      probe,
      probeAfterMs: BREAKER_PROBE_AFTER_MS,
      closing: instance.closing,
      onDegraded: (error) => {
        const cause = messageOf(error);
        logger.warn(`The ${part} is degraded`, { cause });
        events.emit(`${part}.degraded`, { cause });
      },
      onRestored: (downMs) => {
        logger.info(`The ${part} is restored`, { downMs });
        events.emit(`${part}.restored`, { downMs });
      },
    });
  const storeBreaker = breakerOf('store', () => store.ping());
  const publisherBreaker = breakerOf('publisher', () => publisher.ping());
  const held = createHeldRecords(MAX_HELD_BYTES);
  const ends = knownEnds(retentionMs);
  const repository = createSessionRepository({
    store,
    breaker: storeBreaker,
    ends,
    // The guarded recovery, so that closing waits for it.
    contingency: log && { log, held, events, metrics, logger, recover: () => guardedRecover(), replay },
  });
  const processorConfig = {
    publisher: {
      publish: observed(
        (batch: PublishBatch) => publisher.publish(batch),
        (batch) => ({ name: 'publish', batch }),
      ),
    },
    defer: repository.deferral?.publish,
    events,
    metrics,
    ...commit,
    backoffMs: RETRY_BACKOFF_MS,
  };
  const processor = createEventProcessor({
    ...processorConfig,
    store: readerOf(repository),
    breaker: publisherBreaker,
  });
  const accept = createAcceptEvent({
    source: resolved.source,
    catalogue: createCatalogue(resolved.events),
    topic: resolved.topic,
    maxDepth: limits.maxDepth,
    maxEventBytes: Math.min(limits.maxEventBytes, publisher.limits.maxEventBytes),
  });

  const context = { repository, processor, events, metrics, logger, instanceId, ttlMs, retentionMs };
  const commitContext = {
    ...context,
    leaseMs: commit.leaseMs,
    closing: instance.closing,
    over: instance.over,
    unconfirmed: new Map(),
  };

  // Recovery calls the store even while the breakers are open, and has no log behind it: to it an outage is an error,
  // and the records stay in the log that it reads.
  const probing = createSessionRepository({
    store,
    breaker: asProbe(storeBreaker),
    ends,
    contingency: undefined,
  });
  const probingProcessor = createEventProcessor({
    ...processorConfig,
    store: readerOf(probing),
    breaker: asProbe(publisherBreaker),
  });
  const recover = createRecovery(
    {
      log,
      held,
      ends,
      ask: (call) => probing.ask(undefined, call),
      commit: createCommitSession({ ...commitContext, repository: probing, processor: probingProcessor }),
      processor: probingProcessor,
      events,
      metrics,
      logger,
      replay,
      patienceMs: ttlMs,
      window: commit.inFlight * commit.batchEvents,
      closing: instance.closing,
    },
    (run) => observed(run, () => ({ name: 'recover' })),
  );

  const command = <A extends unknown[], R>(name: CommandName, call: (...args: A) => Promise<R>) =>
    instance.command(
      name,
      observed(call, (...[input]) => ({ name, sessionId: sessionIdOf(input) })),
    );
  const commands: Commands = {
    startSession: command('startSession', createStartSession(context)),
    addEvents: command('addEvents', createAddEvents({ ...context, accept, limits, traceContext })),
    commitSession: command('commitSession', createCommitSession(commitContext)),
    rollbackSession: command('rollbackSession', createRollbackSession(context)),
    extendSession: command('extendSession', createExtendSession(context)),
  };
  const queries: Queries = {
    getSessionStatus: instance.command('getSessionStatus', createGetSessionStatus(context)),
    getSessionEvents: instance.command('getSessionEvents', createGetSessionEvents(context)),
    listSessions: instance.command('listSessions', createListSessions(context)),
    getMetrics: instance.command('getMetrics', createGetMetrics({ repository, log, metrics })),
  };

  const guardedRecover = instance.command('recover', async (options?: RecoverOptions) => {
    const { onProgress } = validate(recoverSchema, options, 'The options of recover') ?? {};
    return recover({ onProgress });
  });
  if (resolved.recovery !== false) {
    const { intervalMs } = resolved.recovery;
    const pass = async () => {
      await guardedRecover().catch((error) =>
        logger.warn('A recovery pass failed', { cause: messageOf(error) }),
      );
    };
    instance.every(intervalMs, pass, Math.min(intervalMs, FIRST_RECOVERY_MS));
  }
  instance.every(resolved.metrics.intervalMs, async () => {
    if (events.has('metrics.snapshot')) events.emit('metrics.snapshot', await queries.getMetrics());
  });

  const session = (id: string): Session<C> => createSession<C>(id, commands, queries);
  const startSession: EventSessions<C>['startSession'] = async (input) =>
    session((await commands.startSession(input)).sessionId);
  const close: EventSessions<C>['close'] = async (closeOptions = {}) => {
    const { timeoutMs } = validate(closeSchema, closeOptions, 'close');
    await instance.close(timeoutMs, async (abandoned) => {
      if (abandoned > 0)
        logger.warn('Closed while calls were still under way', { calls: abandoned, timeoutMs });
      const closing = [store, publisher, log].map(async (adapter) => adapter?.close());
      const results = await Promise.allSettled(closing);
      for (const result of results) {
        if (result.status === 'rejected')
          logger.error('An adapter could not be closed', { cause: messageOf(result.reason) });
      }
    });
  };

  return {
    instanceId,
    commands,
    queries,
    startSession,
    session: (id) => session(validate(idSchema, id, 'session')),
    transaction: createTransaction(startSession, logger),
    recover: guardedRecover,
    on: events.on,
    once: events.once,
    off: events.off,
    metrics: queries.getMetrics,
    health: instance.command('health', () => checkHealth(store, publisher, log)),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function readerOf(repository: SessionRepository): Pick<SessionStore, 'read'> {
  return {
    read: (sessionId, range) => repository.askCommitting(sessionId, (store) => store.read(sessionId, range)),
  };
}

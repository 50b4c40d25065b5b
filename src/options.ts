import * as z from 'zod/mini';
import type { TopicRule } from './core/accept-event.js';
import type { Catalogue, CatalogueEntry } from './core/catalogue.js';
import { loggerSchema } from './core/safe-logger.js';
import { isTopic, TOPIC_RULE } from './core/topic.js';
import {
  durationMs,
  functionOf,
  named,
  plainText,
  timerMs,
  validate,
  wholeNumber,
  withMethods,
} from './core/validate.js';
import { DEFAULT_RECOVERY_MS, DEFAULT_TTL_MS } from './defaults.js';
import type { ContingencyLog } from './ports/contingency-log.js';
import type { EventPublisher } from './ports/event-publisher.js';
import type { Instrumentation } from './ports/instrumentation.js';
import type { Logger } from './ports/logger.js';
import type { SessionStore } from './ports/session-store.js';

export interface EventSessionsOptions<C extends Catalogue = Catalogue> {
  /** CloudEvents `source` of every event: the service that adds it, as a URI reference. Default `/event-sessions`. */
  readonly source?: string | undefined;
  /** Where sessions live. Default `memoryStore()`. */
  readonly store?: SessionStore | undefined;
  /** Where a commit publishes to. Default `memoryPublisher()`. */
  readonly publisher?: EventPublisher | undefined;
  /**
   * Takes what the store or the broker cannot take while it is down. Default `memoryContingency()`. With `false` such
   * an outage fails the command, with `STORE_UNAVAILABLE` or `PUBLISH_FAILED`.
   */
  readonly contingency?: ContingencyLog | false | undefined;
  /** The event types that can be added, with the schemas of their data. Default: any type, with any JSON. */
  readonly events?: C | undefined;
  /**
   * Chooses the topic of an event that names none itself. Default: the topic in the catalogue, else the event's type.
   */
  readonly topic?: TopicRule | undefined;
  /** Milliseconds until an open session expires, renewed by every add. Default 24 hours. */
  readonly ttl?: number | undefined;
  /** Milliseconds for which an ended session is kept, with its receipt, history and events. Default 24 hours. */
  readonly retention?: number | undefined;
  /** How large events and sessions may be. */
  readonly limits?: LimitOptions | undefined;
  /** How a commit publishes. */
  readonly commit?: CommitOptions | undefined;
  /**
   * How often a recovery pass runs, give or take 20 %. Default 30,000 ms; the first one runs after about a second.
   * `false` turns this loop off.
   */
  readonly recovery?: { readonly intervalMs?: number | undefined } | false | undefined;
  /** How often the domain event `metrics.snapshot` is emitted, if anybody listens. Default 60,000 ms. */
  readonly metrics?: { readonly intervalMs?: number | undefined } | undefined;
  /** Default: warnings and errors go to the console. `false`: nothing is logged. */
  readonly logger?: Logger | false | undefined;
  /** Traces and timings, such as `openTelemetry()` of `event-sessions/opentelemetry`. Default: none are taken. */
  readonly instrumentation?: Instrumentation | undefined;
  /** Names this process in histories and events. Default: host name, pid and random characters. */
  readonly instanceId?: string | undefined;
}

export interface LimitOptions {
  /** Bytes of an event's CloudEvents JSON. Default 1 MiB; never more than the publisher can carry. */
  readonly maxEventBytes?: number | undefined;
  /** Events in a session. Default 100,000. */
  readonly maxSessionEvents?: number | undefined;
  /** Bytes of CloudEvents JSON in a session. Default 256 MiB. */
  readonly maxSessionBytes?: number | undefined;
  /** Levels of nesting of an event's data. Default 100. */
  readonly maxDepth?: number | undefined;
}

export interface CommitOptions {
  /** Events in a batch. Default 500. */
  readonly batchEvents?: number | undefined;
  /** Bytes in a batch. Default 4 MiB. */
  readonly batchBytes?: number | undefined;
  /** Batches being published at the same time; after a crash as many may be published twice. Default 4. */
  readonly inFlight?: number | undefined;
  /**
   * How long a commit attempt that died keeps others from taking over. Renewed every third of it. Default 15,000 ms.
   */
  readonly leaseMs?: number | undefined;
  /** Retries of a batch, after 200 ms, 400 ms, …, before its events go to the contingency log. Default 3. */
  readonly retries?: number | undefined;
}

const sourceError = 'a URI reference such as /shop/orders, without spaces';

const schema = z.strictObject({
  source: z._default(
    z
      .string({ error: sourceError })
      .check(z.maxLength(512, { error: sourceError }), z.regex(/^[!-~]+$/, { error: sourceError })),
    '/event-sessions',
  ),
  store: z.optional(
    withMethods<SessionStore>(
      'a store such as redisStore()',
      ...([
        'start',
        'append',
        'extend',
        'beginCommit',
        'advance',
        'finishCommit',
        'releaseCommit',
        'rollback',
      ] as const),
      ...(['expire', 'get', 'read', 'contains', 'list', 'due', 'countActive', 'ping', 'close'] as const),
    ),
  ),
  publisher: z.optional(
    withMethods<EventPublisher>('a publisher such as nsqPublisher()', 'publish', 'ping', 'close').check(
      z.refine(({ limits }) => limits?.maxEventBytes >= 1, {
        error: 'a publisher with limits.maxEventBytes of at least 1',
      }),
    ),
  ),
  contingency: z.optional(
    z.union(
      [z.literal(false), withMethods<ContingencyLog>('', 'append', 'seal', 'backlog', 'ping', 'close')],
      { error: 'a contingency log such as fileContingency(), or false' },
    ),
  ),
  events: z.optional(
    named(
      'an object of event types and schemas',
      plainText(256),
      z.custom<CatalogueEntry>(isCatalogueEntry, {
        error: `a schema (Standard Schema), or { schema, topic } with a topic of ${TOPIC_RULE}`,
      }),
    ),
  ),
  topic: z.optional(functionOf<TopicRule>('a function (event) => topic')),
  ttl: z._default(durationMs(), DEFAULT_TTL_MS),
  retention: z._default(durationMs(), 86_400_000),
  limits: z.prefault(
    z.strictObject({
      maxEventBytes: z._default(wholeNumber(1), 1_048_576),
      maxSessionEvents: z._default(wholeNumber(1), 100_000),
      maxSessionBytes: z._default(wholeNumber(1), 268_435_456),
      maxDepth: z._default(wholeNumber(1, 1_000), 100),
    }),
    {},
  ),
  commit: z.prefault(
    z.strictObject({
      batchEvents: z._default(wholeNumber(1, 10_000), 500),
      batchBytes: z._default(wholeNumber(1), 4_194_304),
      inFlight: z._default(wholeNumber(1, 64), 4),
      leaseMs: z._default(timerMs(30), 15_000),
      retries: z._default(wholeNumber(0, 20), 3),
    }),
    {},
  ),
  recovery: z.prefault(
    z.union([z.literal(false), z.strictObject({ intervalMs: z._default(timerMs(), DEFAULT_RECOVERY_MS) })], {
      error: 'false, or { intervalMs } in whole milliseconds',
    }),
    {},
  ),
  metrics: z.prefault(z.strictObject({ intervalMs: z._default(timerMs(), 60_000) }), {}),
  logger: loggerSchema,
  instrumentation: z.optional(
    withMethods<Instrumentation>('an instrumentation such as openTelemetry()', 'observe'),
  ),
  instanceId: z.optional(plainText(128)),
});

export type ResolvedOptions = z.output<typeof schema>;

/** @throws `INVALID_INPUT` naming every option that is wrong, with what was expected. */
export function resolveOptions(options: unknown): ResolvedOptions {
  return validate<ResolvedOptions>(schema, options, 'The options of createEventSessions');
}

function isCatalogueEntry(value: unknown): boolean {
  if (isSchema(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { schema: inner, topic, ...others } = value as { schema?: unknown; topic?: unknown };
  return isSchema(inner) && (topic === undefined || isTopic(topic)) && Object.keys(others).length === 0;
}

/** A schema may be a function as well as an object (ArkType's are). */
function isSchema(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as { '~standard'?: { validate?: unknown } })['~standard'];
  return typeof standard?.validate === 'function';
}

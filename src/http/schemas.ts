import * as z from 'zod/mini';
import { type AddManyReceipt, MAX_EVENTS_PER_CALL } from '../commands/add-events.js';
import { commitSessionSchema } from '../commands/commit-session.js';
import { rollbackSessionSchema } from '../commands/rollback-session.js';
import { type StartReceipt, startSessionSchema } from '../commands/start-session.js';
import type { RecoveryReport } from '../contingency/recovery-pass.js';
import { eventSchema, MAX_EXTENSIONS } from '../core/accept-event.js';
import type { CloudEvent } from '../core/event.js';
import type { CommitReceipt, RollbackReceipt } from '../core/lifecycle.js';
import { FAILURE_CODES, type FailureEntry, type MetricsSnapshot } from '../core/metrics.js';
import { TOPIC_RULE } from '../core/topic.js';
import type { Health } from '../health.js';
import type { SessionStatusView } from '../queries/get-session-status.js';
import { cloudEventSchema } from './event-body.js';
import { type ProblemCode, type ProblemDetails, STATUS } from './problem.js';

/** What JSON Schema says of a schema beside its form. With an `id` it is a component of the document. */
interface Note {
  readonly id?: string;
  readonly type?: 'object';
  readonly format?: 'date-time';
  readonly maxProperties?: number;
  readonly description?: string;
}

/** A value as its JSON is read: what is undefined is not there. */
type Json<T> = T extends readonly (infer Item)[]
  ? readonly Json<Item>[]
  : T extends object
    ? { readonly [K in keyof T as MayBeMissing<T[K]> extends true ? never : K]: Json<T[K]> } & {
        readonly [K in keyof T as MayBeMissing<T[K]> extends true ? K : never]?:
          | Json<Exclude<T[K], undefined>>
          | undefined;
      }
    : T;
type MayBeMissing<T> = unknown extends T ? false : undefined extends T ? true : false;

/** The schemas that check requests, here and in the core. */
export const requests = z.registry<Note>();

const newCloudEvents = z.array(cloudEventSchema).check(z.minLength(1), z.maxLength(MAX_EVENTS_PER_CALL));
const newEvents = z.array(eventSchema).check(z.minLength(1), z.maxLength(MAX_EVENTS_PER_CALL));

requests
  .add(startSessionSchema, { id: 'NewSession' })
  .add(startSessionSchema.shape.sessionId, {
    description: 'Makes the start idempotent. Default: an id of 128 random bits.',
  })
  .add(startSessionSchema.shape.metadata, {
    type: 'object',
    description: 'Kept with the session and returned by its status. At most 16 KiB of JSON.',
  })
  .add(startSessionSchema.shape.ttl, {
    description:
      'Milliseconds until the session expires, renewed by every add. Default: what the service sets.',
  })
  .add(z.pick(commitSessionSchema, { expectedEvents: true }), { id: 'CommitOptions' })
  .add(commitSessionSchema.shape.expectedEvents, {
    description: 'Commits only a session of exactly this many events.',
  })
  .add(z.pick(rollbackSessionSchema, { reason: true }), { id: 'RollbackOptions' })
  .add(rollbackSessionSchema.shape.reason, { description: "For the session's history." })
  .add(eventSchema, { id: 'NewEvent' })
  .add(z.union([eventSchema, newEvents]), { id: 'NewEvents', description: 'One event or several.' })
  .add(cloudEventSchema, { id: 'NewCloudEvent', description: 'A CloudEvent 1.0 whose data is JSON.' })
  .add(newCloudEvents, { id: 'NewCloudEvents' })
  .add(eventSchema.shape.id, {
    description: 'The same id twice in a session is one event. Default: 128 random bits and a number.',
  })
  .add(eventSchema.shape.topic, { description: `Overrides what the service would choose: ${TOPIC_RULE}.` })
  .add(eventSchema.shape.time, {
    format: 'date-time',
    description: 'When it happened (RFC 3339). Default: now.',
  })
  .add(eventSchema.shape.extensions, {
    maxProperties: MAX_EXTENSIONS,
    description: 'CloudEvents extension attributes.',
  });

/** What is answered. A later version may add properties. */
export const responses = z.registry<Note>();

const count = z.int().check(z.gte(0));
const milliseconds = z.number().check(z.gte(0));
const epochMs = z.int();
const id = z.string();
const sessionStatus = z.enum(['open', 'committing', 'committed', 'rolled_back', 'expired']);

const startReceipt = z.object({
  sessionId: id,
  status: z.literal('open'),
  created: z.boolean(),
  deferred: z.boolean(),
}) satisfies z.ZodMiniType<Json<StartReceipt>>;

const addReceipt = z.object({
  sessionId: id,
  events: z.array(z.object({ sessionId: id, eventId: id, duplicate: z.boolean(), deferred: z.boolean() })),
  deferred: z.boolean(),
}) satisfies z.ZodMiniType<Json<AddManyReceipt>>;

const commitReceipt = z.object({
  sessionId: id,
  status: z.enum(['committed', 'committing']),
  events: count,
  published: count,
  deferred: count,
  durationMs: milliseconds,
}) satisfies z.ZodMiniType<Json<CommitReceipt>>;

const rollbackReceipt = z.object({
  sessionId: id,
  status: z.literal('rolled_back'),
  discarded: count,
  deferred: z.boolean(),
}) satisfies z.ZodMiniType<Json<RollbackReceipt>>;

const session = z.object({
  sessionId: id,
  status: sessionStatus,
  events: count,
  published: count,
  deferred: count,
  createdAt: epochMs,
  expiresAt: z.optional(epochMs),
  leaseExpiresAt: z.optional(epochMs),
  epoch: count,
  metadata: z.record(z.string(), z.unknown()),
  history: z.array(
    z.object({
      status: sessionStatus,
      at: epochMs,
      instance: z.string(),
      reason: z.optional(z.string()),
    }),
  ),
}) satisfies z.ZodMiniType<Json<SessionStatusView>>;

const next = z.optional(z.string());
const sessionPage = z.object({
  sessions: z.array(
    z.object({ sessionId: id, status: z.enum(['open', 'committing']), events: count, createdAt: epochMs }),
  ),
  next,
});

const cloudEvent = z.catchall(
  z.object({
    specversion: z.literal('1.0'),
    id,
    source: z.string(),
    type: z.string(),
    time: z.string(),
    datacontenttype: z.literal('application/json'),
    data: z.unknown(),
    subject: z.optional(z.string()),
    sessionid: id,
    sequence: z.string().check(z.regex(/^\d{10}$/)),
  }),
  z.union([z.string(), z.int(), z.boolean()]),
) satisfies z.ZodMiniType<Json<CloudEvent>>;

const eventPage = z.object({ events: z.array(cloudEvent), next });

const recoveryReport = z.object({
  sessions: count,
  events: count,
  published: count,
  duplicatesPossible: count,
  discarded: count,
  quarantined: count,
  corrupt: count,
  remaining: count,
  complete: z.boolean(),
  durationMs: milliseconds,
}) satisfies z.ZodMiniType<Json<RecoveryReport>>;

const failureCode = z.enum(FAILURE_CODES);
const failure = z.object({
  at: epochMs,
  operation: z.string(),
  sessionId: z.optional(id),
  code: failureCode,
  message: z.string(),
  cause: z.optional(z.string()),
}) satisfies z.ZodMiniType<Json<FailureEntry>>;

const metrics = z.object({
  at: epochMs,
  instanceId: z.string(),
  uptimeMs: milliseconds,
  events: z.object({
    added: count,
    processed: count,
    published: count,
    deferred: count,
    failed: count,
    recovered: count,
    successRate: z.number().check(z.gte(0), z.lte(1)),
    perMinute: count,
  }),
  sessions: z.object({
    active: z.optional(count),
    started: count,
    committed: count,
    rolledBack: count,
    expired: count,
  }),
  commitDuration: z.object({
    count,
    meanMs: milliseconds,
    p50Ms: milliseconds,
    p95Ms: milliseconds,
    p99Ms: milliseconds,
  }),
  failures: z.record(failureCode, count),
  recentFailures: z.array(failure),
  contingency: z.optional(z.object({ records: count, bytes: count, oldestAt: z.optional(epochMs) })),
}) satisfies z.ZodMiniType<Json<MetricsSnapshot>>;

const live = z.object({ status: z.literal('ok') });
const ready = z.object({ status: z.enum(['ok', 'degraded', 'down']) }) satisfies z.ZodMiniType<
  Pick<Health, 'status'>
>;

const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(STATUS) as ProblemCode[]),
  sessionId: z.optional(id),
  eventId: z.optional(id),
  index: z.optional(count),
  sessionStatus: z.optional(sessionStatus),
  issues: z.optional(z.array(z.object({ path: z.string(), message: z.string() }))),
  limit: z.optional(z.number()),
  expected: z.optional(z.number()),
  actual: z.optional(z.number()),
}) satisfies z.ZodMiniType<Json<ProblemDetails>>;

responses
  .add(startReceipt, { id: 'StartReceipt' })
  .add(startReceipt.shape.created, {
    description: 'False when an open session of this id was there already.',
  })
  .add(addReceipt, { id: 'AddReceipt', description: 'In the order in which the events were given.' })
  .add(commitReceipt, {
    id: 'CommitReceipt',
    description: 'Counts of events. `committing`: recovery, or another commit, finishes it.',
  })
  .add(rollbackReceipt, { id: 'RollbackReceipt' })
  .add(session, { id: 'Session', description: 'Times in milliseconds since the epoch.' })
  .add(sessionPage, { id: 'SessionPage' })
  .add(cloudEvent, { id: 'CloudEvent', description: 'A CloudEvent 1.0 as a consumer gets it.' })
  .add(eventPage, { id: 'EventPage' })
  .add(next, { description: 'The `cursor` of the next page; missing on the last one.' })
  .add(recoveryReport, { id: 'RecoveryReport' })
  .add(metrics, { id: 'Metrics', description: 'Of this instance. Durations in milliseconds.' })
  .add(live, { id: 'Live' })
  .add(ready, { id: 'Ready' })
  .add(problem, {
    id: 'Problem',
    description: 'RFC 9457. Beside its members: `code`, and facts that go with it.',
  });

import {
  createEventSessions,
  EventSessionsError,
  type EventSessionsOptions,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { createHttpHandler, type HttpHandler, type ProblemCode } from 'event-sessions/http';
import { Registry } from 'prom-client';
import * as z from 'zod';
import { needingToken } from '../../src/cli/serve.js';
import { faultyStore } from '../support/faulty-store.js';

/** A request to an operation, and what it is answered with: a status, or a problem of a code. */
export interface Case {
  readonly gives: number | ProblemCode;
  readonly on?: keyof typeof services;
  /** The session that it is about. Default: one that is open. */
  readonly id?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const authorize = () => true;
const sessionsOf = (options: EventSessionsOptions = {}) =>
  createEventSessions({ ...options, logger: false, recovery: false });
const serviceOf = (options: EventSessionsOptions) => createHttpHandler(sessionsOf(options), { authorize });

const store = memoryStore();
const sessions = sessionsOf({ store, limits: { maxSessionEvents: 3 } });
const strict = sessionsOf({
  store,
  events: { 'order.placed': { schema: z.object({ n: z.number() }) } },
  limits: { maxEventBytes: 400 },
});
const closed = sessionsOf();
await closed.close();

const down = faultyStore(memoryStore());
down.fault = 'down';
const fails = () => Promise.reject(new Error('down'));
const full = () => Promise.reject(new EventSessionsError('CONTINGENCY_FAILED', 'full'));
const publisher = memoryPublisher({ onPublish: fails });

export const services = {
  working: createHttpHandler(sessions, { authorize, maxBodyBytes: 10_000, bodyTimeoutMs: 20 }),
  strict: createHttpHandler(strict, { authorize }),
  refusing: createHttpHandler(sessions, { authorize: () => false }),
  needingToken: needingToken('a token that nobody shows', createHttpHandler(sessions, { authorize })),
  failing: createHttpHandler(sessions, { authorize: fails, logger }),
  scraped: createHttpHandler(sessions, { authorize, prometheus: new Registry() }),
  closed: createHttpHandler(closed, { authorize }),
  withoutStore: serviceOf({ store: down }),
  withoutStoreAndLog: serviceOf({ store: down, contingency: false }),
  withFullLog: serviceOf({
    store: down,
    contingency: { ...memoryContingency(), append: full, seal: full },
  }),
  withoutBroker: serviceOf({ store, publisher, contingency: false }),
  withLostEvents: createHttpHandler(
    sessionsOf({
      store: {
        ...store,
        read: async () => [],
        beginCommit: async () => ({ outcome: 'corrupt', counted: 1, found: 0 }),
      },
    }),
    { authorize, logger },
  ),
} satisfies Record<string, HttpHandler>;

export const OPEN = 'open';
const COMMITTED = 'committed';
const ROLLED_BACK = 'rolled-back';
const COMMITTING = 'committing';
for (const sessionId of [OPEN, COMMITTED, ROLLED_BACK, COMMITTING]) {
  const session = await sessions.startSession({ sessionId, metadata: { owner: 'a' } });
  await session.add('order.placed', { n: 1 }, { subject: 's', extensions: { traceid: 'x', tries: 1 } });
}
await sessions.session(COMMITTED).commit();
await sessions.session(ROLLED_BACK).rollback({ reason: 'changed their mind' });
const cause = { instance: 'another' };
await store.beginCommit(COMMITTING, { attemptId: 'another', leaseMs: 60_000, cause });

/** The id of a session that a case has for itself. */
const drawn = async () => (await sessions.startSession()).id;
const withEvent = async () => {
  const session = await sessions.startSession();
  await session.add('order.placed', { n: 1 });
  return session.id;
};

/** The same answer to each of these bodies. */
const each = (gives: Case['gives'], bodies: readonly unknown[], headers = {}): Case[] =>
  bodies.map((body) => ({ gives, body, headers }));

const event = { type: 'order.placed', data: { n: 1 } };
const cloudEvent = { specversion: '1.0', id: '1', source: '/shop', ...event };
const one = { 'content-type': 'application/cloudevents+json' };
const batch = { 'content-type': 'application/cloudevents-batch+json' };
const compressed = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
const idempotent = { 'idempotency-key': 'once' };

/** By `operationId`. */
export const CASES: Readonly<Record<string, readonly Case[]>> = {
  startSession: [
    { gives: 201 },
    { gives: 201, body: { metadata: { owner: 'a' }, ttl: 60_000 }, headers: idempotent },
    { gives: 200, body: { sessionId: OPEN } },
    { gives: 202, on: 'withoutStore' },
    ...each('INVALID_INPUT', [
      [],
      { ttl: 0 },
      { ttl: 1.5 },
      { sessionId: 'a b' },
      { metadata: 1 },
      { metadata: [] },
      { other: 1 },
    ]),
    { gives: 'SESSION_NOT_OPEN', body: { sessionId: COMMITTED } },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStoreAndLog' },
    { gives: 'CONTINGENCY_FAILED', on: 'withFullLog' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  listSessions: [
    { gives: 200 },
    { gives: 200, query: '?status=open&limit=1' },
    { gives: 'INVALID_INPUT', query: '?limit=0' },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStore' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  getSession: [
    ...[OPEN, COMMITTED, ROLLED_BACK, COMMITTING].map((id) => ({ gives: 200, id })),
    { gives: 'INVALID_INPUT', id: '%00' },
    { gives: 'SESSION_NOT_FOUND', id: 'unknown' },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStore' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  addEvents: [
    { gives: 200, id: await drawn(), body: event, headers: idempotent },
    {
      gives: 200,
      id: await drawn(),
      body: [{ ...event, id: '1', topic: 't', time: '2025-01-31T12:00:00Z' }],
    },
    { gives: 200, id: await drawn(), body: { ...event, data: null, extensions: { traceid: 'x', tries: 1 } } },
    { gives: 200, id: await drawn(), body: cloudEvent, headers: one },
    { gives: 200, id: await drawn(), body: { ...cloudEvent, data: undefined }, headers: one },
    { gives: 200, id: await drawn(), body: [{ ...cloudEvent, traceid: 'x' }], headers: batch },
    { gives: 202, on: 'withoutStore', body: event },
    ...each('INVALID_INPUT', [
      [],
      { data: 1 },
      { ...event, id: '' },
      { ...event, subject: '\n' },
      { ...event, time: 0 },
      { ...event, extensions: { A: 1 } },
      { ...event, extensions: { a: {} } },
      { ...event, extensions: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`a${i}`, i])) },
      { ...event, other: 1 },
    ]),
    ...each(
      'INVALID_INPUT',
      [
        [cloudEvent],
        { ...cloudEvent, source: '' },
        { ...cloudEvent, specversion: '0.3' },
        { ...cloudEvent, datacontenttype: 'text/xml' },
        { ...cloudEvent, data_base64: 'AA==' },
        { ...cloudEvent, traceid: {} },
        { ...cloudEvent, originalid: '0' },
        { ...cloudEvent, originalsource: '/first' },
      ],
      one,
    ),
    ...each('INVALID_INPUT', [[], cloudEvent], batch),
    { gives: 'INVALID_EVENT', on: 'strict', body: { ...event, data: { n: 'one' } } },
    { gives: 'UNKNOWN_EVENT_TYPE', on: 'strict', body: { ...event, type: 'order.lost' } },
    { gives: 'INVALID_TOPIC', body: { ...event, topic: 'a b' } },
    { gives: 'EVENT_TOO_LARGE', on: 'strict', body: { ...event, subject: 'x'.repeat(400) } },
    { gives: 'SESSION_NOT_FOUND', id: 'unknown', body: event },
    { gives: 'SESSION_NOT_OPEN', id: COMMITTED, body: event },
    { gives: 'SESSION_LIMIT_EXCEEDED', body: [event, event, event] },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStoreAndLog', body: event },
    { gives: 'CONTINGENCY_FAILED', on: 'withFullLog', body: event },
    { gives: 'CLOSED', on: 'closed', body: event },
  ],
  getSessionEvents: [
    { gives: 200 },
    { gives: 200, id: COMMITTED, query: '?limit=1' },
    { gives: 'INVALID_INPUT', query: '?cursor=!' },
    { gives: 'SESSION_NOT_FOUND', id: 'unknown' },
    { gives: 'SESSION_CORRUPT', on: 'withLostEvents' },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStore' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  commitSession: [
    { gives: 200, id: await drawn(), body: { expectedEvents: 0 } },
    { gives: 200, id: COMMITTED },
    { gives: 202, on: 'withoutStore' },
    ...each('INVALID_INPUT', [[], { expectedEvents: -1 }, { other: 1 }]),
    { gives: 'SESSION_NOT_FOUND', id: 'unknown' },
    { gives: 'SESSION_NOT_OPEN', id: ROLLED_BACK },
    { gives: 'EXPECTED_EVENTS_MISMATCH', body: { expectedEvents: 99 } },
    { gives: 'COMMIT_IN_PROGRESS', id: COMMITTING },
    { gives: 'SESSION_CORRUPT', on: 'withLostEvents' },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStoreAndLog' },
    { gives: 'PUBLISH_FAILED', on: 'withoutBroker', id: await withEvent() },
    { gives: 'CONTINGENCY_FAILED', on: 'withFullLog' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  rollbackSession: [
    { gives: 200, id: await drawn(), body: { reason: 'changed their mind' } },
    { gives: 202, on: 'withoutStore', id: 'elsewhere' },
    ...each('INVALID_INPUT', [[], { reason: '' }, { reason: 'a\nb' }, { other: 1 }]),
    { gives: 'SESSION_NOT_FOUND', id: 'unknown' },
    { gives: 'SESSION_NOT_OPEN', id: COMMITTED },
    { gives: 'STORE_UNAVAILABLE', on: 'withoutStoreAndLog' },
    { gives: 'CONTINGENCY_FAILED', on: 'withFullLog', id: 'elsewhere' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  recover: [
    { gives: 200 },
    { gives: 202, on: 'withoutStore' },
    { gives: 'CONTINGENCY_FAILED', on: 'withFullLog' },
    { gives: 'CLOSED', on: 'closed' },
  ],
  getMetrics: [
    { gives: 200 },
    { gives: 200, on: 'withoutStore' },
    { gives: 200, on: 'scraped' },
    { gives: 'CLOSED', on: 'closed' },
    { gives: 'NOT_ACCEPTABLE', headers: { accept: 'image/png' } },
  ],
  getLiveness: [{ gives: 200 }],
  getReadiness: [
    { gives: 200 },
    { gives: 200, on: 'withoutStore' },
    { gives: 503, on: 'withoutStoreAndLog' },
  ],
  getOpenApi: [{ gives: 200 }],
};

export const TOO_LONG: Case = { gives: 'URL_TOO_LONG', query: `?${'x'.repeat(5_000)}` };

/** For every operation that asks for permission. */
export const GUARDED: readonly Case[] = [
  { gives: 'UNAUTHORIZED', on: 'needingToken' },
  { gives: 'FORBIDDEN', on: 'refusing' },
  { gives: 'INTERNAL_ERROR', on: 'failing' },
];

/** For every operation with a body. */
export const withBody = (): Case[] => [
  { gives: 'BODY_TIMEOUT', body: new ReadableStream() },
  { gives: 'BODY_TOO_LARGE', body: 'x'.repeat(20_000) },
  { gives: 'UNSUPPORTED_MEDIA_TYPE', body: '{}', headers: { 'content-type': 'text/plain' } },
  { gives: 'UNSUPPORTED_MEDIA_TYPE', body: '{}', headers: compressed },
];

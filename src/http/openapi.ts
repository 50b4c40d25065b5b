import * as z from 'zod/mini';
import { idSchema } from '../core/validate.js';
import { getSessionEventsSchema } from '../queries/get-session-events.js';
import { listSessionsSchema } from '../queries/list-sessions.js';
import { CLOUD_EVENT, CLOUD_EVENTS, idempotencyKeySchema } from './event-body.js';
import { type ProblemCode, STATUS } from './problem.js';
import { MAX_CURSOR } from './query.js';
import type { Route } from './route.js';
import { requests, responses } from './schemas.js';

type JsonObject = Readonly<Record<string, unknown>>;

interface Operation {
  readonly method: Route['method'];
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly JsonObject[];
  readonly requestBody?: JsonObject;
  readonly answers: Readonly<Record<number, JsonObject>>;
  readonly problems: readonly ProblemCode[];
}

/** Of the API. It goes with the version of the package. */
const VERSION = '0.1.0';
const JSON_TYPE = 'application/json';

const ALWAYS: readonly ProblemCode[] = ['URL_TOO_LONG', 'INTERNAL_ERROR'];
/** Of every route that is not open to everybody. `event-sessions serve` asks for its token first. */
const GUARDED: readonly ProblemCode[] = ['UNAUTHORIZED', 'FORBIDDEN'];
const READS: readonly ProblemCode[] = ['INVALID_INPUT', ...GUARDED, 'STORE_UNAVAILABLE', 'CLOSED'];
const WRITES: readonly ProblemCode[] = [
  ...READS,
  'SESSION_NOT_OPEN',
  'CONTINGENCY_FAILED',
  'BODY_TIMEOUT',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
];

const refTo = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });
const media = (schema: string) => ({ schema: refTo('schemas', schema) });
const answer = (description: string, schema: string) => ({
  description,
  content: { [JSON_TYPE]: media(schema) },
});
const body = (content: Readonly<Record<string, string>>, required: boolean) => ({
  required,
  content: Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, media(schema)])),
});

const sessionId = refTo('parameters', 'SessionId');
const idempotencyKey = refTo('parameters', 'IdempotencyKey');
const page = [refTo('parameters', 'Cursor'), refTo('parameters', 'Limit')];

const OPERATIONS: readonly Operation[] = [
  {
    method: 'POST',
    path: '/sessions',
    operationId: 'startSession',
    summary: 'Start a session',
    parameters: [idempotencyKey],
    requestBody: body({ [JSON_TYPE]: 'NewSession' }, false),
    answers: {
      200: answer('An open session of this id was there already', 'StartReceipt'),
      201: answer('Started', 'StartReceipt'),
      202: answer('Recorded while the store is down; recovery starts it', 'StartReceipt'),
    },
    problems: WRITES,
  },
  {
    method: 'GET',
    path: '/sessions',
    operationId: 'listSessions',
    summary: 'List the sessions that are open or committing',
    parameters: [refTo('parameters', 'Status'), ...page],
    answers: { 200: answer('A page', 'SessionPage') },
    problems: READS,
  },
  {
    method: 'GET',
    path: '/sessions/{id}',
    operationId: 'getSession',
    summary: 'Status and history of a session',
    parameters: [sessionId],
    answers: { 200: answer('The session', 'Session') },
    problems: [...READS, 'SESSION_NOT_FOUND'],
  },
  {
    method: 'POST',
    path: '/sessions/{id}/events',
    operationId: 'addEvents',
    summary: 'Add events: all of them or none',
    parameters: [sessionId, idempotencyKey],
    requestBody: body(
      {
        [JSON_TYPE]: 'NewEvents',
        [CLOUD_EVENT]: 'NewCloudEvent',
        [CLOUD_EVENTS]: 'NewCloudEvents',
      },
      true,
    ),
    answers: {
      200: answer('Added', 'AddReceipt'),
      202: answer('Recorded while the store is down; recovery adds them', 'AddReceipt'),
    },
    problems: [
      ...WRITES,
      'INVALID_EVENT',
      'UNKNOWN_EVENT_TYPE',
      'INVALID_TOPIC',
      'EVENT_TOO_LARGE',
      'SESSION_LIMIT_EXCEEDED',
      'SESSION_NOT_FOUND',
    ],
  },
  {
    method: 'GET',
    path: '/sessions/{id}/events',
    operationId: 'getSessionEvents',
    summary: 'Events of a session, in their order',
    parameters: [sessionId, ...page],
    answers: { 200: answer('A page', 'EventPage') },
    problems: [...READS, 'SESSION_NOT_FOUND', 'SESSION_CORRUPT'],
  },
  {
    method: 'POST',
    path: '/sessions/{id}/commit',
    operationId: 'commitSession',
    summary: 'Publish all events of a session',
    parameters: [sessionId],
    requestBody: body({ [JSON_TYPE]: 'CommitOptions' }, false),
    answers: {
      200: answer('Published', 'CommitReceipt'),
      202: answer('Recorded; recovery publishes what is left', 'CommitReceipt'),
    },
    problems: [
      ...WRITES,
      'SESSION_NOT_FOUND',
      'COMMIT_IN_PROGRESS',
      'EXPECTED_EVENTS_MISMATCH',
      'SESSION_CORRUPT',
      'PUBLISH_FAILED',
    ],
  },
  {
    method: 'POST',
    path: '/sessions/{id}/rollback',
    operationId: 'rollbackSession',
    summary: 'End a session so that none of its events is ever published',
    parameters: [sessionId],
    requestBody: body({ [JSON_TYPE]: 'RollbackOptions' }, false),
    answers: {
      200: answer('Rolled back', 'RollbackReceipt'),
      202: answer('Recorded while the store is down; recovery carries it out', 'RollbackReceipt'),
    },
    problems: [...WRITES, 'SESSION_NOT_FOUND'],
  },
  {
    method: 'POST',
    path: '/recover',
    operationId: 'recover',
    summary: 'Publish what is owed after an outage',
    answers: {
      200: answer('Nothing is left', 'RecoveryReport'),
      202: answer('Not complete: ask again', 'RecoveryReport'),
    },
    problems: [...GUARDED, 'CONTINGENCY_FAILED', 'CLOSED'],
  },
  {
    method: 'GET',
    path: '/metrics',
    operationId: 'getMetrics',
    summary: 'Metrics of this instance',
    answers: {
      200: {
        description: 'As JSON; as Prometheus text where the service has a registry and JSON is not asked for',
        content: { [JSON_TYPE]: media('Metrics'), 'text/plain': { schema: { type: 'string' } } },
      },
    },
    problems: [...GUARDED, 'NOT_ACCEPTABLE', 'CLOSED'],
  },
  {
    method: 'GET',
    path: '/health/live',
    operationId: 'getLiveness',
    summary: 'Whether the process answers',
    answers: { 200: answer('It does', 'Live') },
    problems: [],
  },
  {
    method: 'GET',
    path: '/health/ready',
    operationId: 'getReadiness',
    summary: 'Whether something takes events',
    answers: {
      200: answer('The store or the contingency log does', 'Ready'),
      503: answer('Neither does', 'Ready'),
    },
    problems: [],
  },
  {
    method: 'GET',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    summary: 'This document',
    answers: {
      200: { description: 'OpenAPI 3.1', content: { [JSON_TYPE]: { schema: { type: 'object' } } } },
    },
    problems: [],
  },
];

let components: ReturnType<typeof allComponents> | undefined;

/** The routes as OpenAPI 3.1, mounted at `basePath`. */
export function openApiDocument(basePath = '') {
  components ??= allComponents();
  return {
    openapi: '3.1.0',
    info: {
      title: 'event-sessions',
      version: VERSION,
      description: 'Transactional sessions for events: collect them over many calls, publish all or none.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: basePath === '' ? '/' : basePath }],
    paths: paths(),
    components,
  };
}

function allComponents() {
  return {
    schemas: { ...componentsOf(requests, 'output'), ...componentsOf(responses, 'input') },
    parameters: {
      SessionId: { name: 'id', in: 'path', required: true, schema: schemaOf(idSchema) },
      IdempotencyKey: {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'A request that is repeated with the same key takes effect once.',
        schema: schemaOf(idempotencyKeySchema),
      },
      Status: { name: 'status', in: 'query', schema: schemaOf(listSessionsSchema.shape.status) },
      Cursor: {
        name: 'cursor',
        in: 'query',
        description: 'The `next` of the page before.',
        schema: schemaOf(z.string().check(z.minLength(1), z.maxLength(MAX_CURSOR))),
      },
      Limit: {
        name: 'limit',
        in: 'query',
        description: 'Items of a page, which may have fewer and yet not be the last. Default 100.',
        schema: schemaOf(getSessionEventsSchema.shape.limit),
      },
    },
    headers: {
      AcceptEncoding: {
        description: 'The codings that a body may have, when it had another one.',
        schema: { const: 'identity' },
      },
      RetryAfter: {
        description: 'Seconds after which it is worth another try.',
        schema: schemaOf(z.int().check(z.gte(1))),
      },
      WwwAuthenticate: {
        description: 'How to show who one is: with the access token, in `Authorization`.',
        schema: { const: 'Bearer' },
      },
    },
  };
}

function paths(): Record<string, Record<string, JsonObject>> {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const { method, path, answers, problems, ...rest } of OPERATIONS) {
    const responses = { ...problemsOf([...problems, ...ALWAYS]), ...answers };
    paths[path] = { ...paths[path], [method.toLowerCase()]: { ...rest, responses } };
  }
  return paths;
}

/** A response for each status of these codes. */
function problemsOf(codes: readonly ProblemCode[]): Record<number, JsonObject> {
  const byStatus: Record<number, ProblemCode[]> = {};
  for (const code of codes) {
    const status = STATUS[code];
    byStatus[status] = [...(byStatus[status] ?? []), code];
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes]) => [status, problemResponse(status, codes)]),
  );
}

function problemResponse(status: string, codes: readonly ProblemCode[]): JsonObject {
  const headers = {
    ...(codes.includes('UNSUPPORTED_MEDIA_TYPE') && {
      'Accept-Encoding': refTo('headers', 'AcceptEncoding'),
    }),
    ...((status === '503' || codes.includes('COMMIT_IN_PROGRESS')) && {
      'Retry-After': refTo('headers', 'RetryAfter'),
    }),
    ...(codes.includes('UNAUTHORIZED') && { 'WWW-Authenticate': refTo('headers', 'WwwAuthenticate') }),
  };
  return {
    description: codes.join(', '),
    ...(Object.keys(headers).length > 0 && { headers }),
    content: {
      'application/problem+json': {
        schema: { ...refTo('schemas', 'Problem'), properties: { code: { enum: codes } } },
      },
    },
  };
}

/** The schemas of a registry that have an id. A request is described as the checks leave it, a response as it is. */
function componentsOf(registry: typeof requests, io: 'input' | 'output'): Record<string, JsonObject> {
  const { schemas } = z.toJSONSchema(registry, {
    metadata: registry,
    unrepresentable: 'any',
    io,
    uri: (id) => refTo('schemas', id).$ref,
  });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutIdentity(schema)]));
}

function schemaOf(schema: z.ZodMiniType): JsonObject {
  return withoutIdentity(z.toJSONSchema(schema));
}

/** A schema within the document is known by its place, and the dialect is that of OpenAPI 3.1. */
function withoutIdentity({ $schema, $id, id, ...schema }: JsonObject): JsonObject {
  return schema;
}

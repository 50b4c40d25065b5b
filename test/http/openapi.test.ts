import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { createEventSessions, memoryStore } from 'event-sessions';
import { createHttpHandler, type HttpHandler } from 'event-sessions/http';
import { Registry } from 'prom-client';
import { afterAll, describe, expect, it, test } from 'vitest';
import { eventsController } from '../../src/http/events-controller.js';
import { metricsController } from '../../src/http/metrics-controller.js';
import { openApiDocument } from '../../src/http/openapi.js';
import { openApiController } from '../../src/http/openapi-controller.js';
import { faultyStore } from '../support/faulty-store.js';

const REWRITE = 'npx vitest run test/http/openapi.test.ts --update';

const document = openApiDocument();

test('it is valid OpenAPI 3.1, also for a library that knows all of it', async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
});

test('docs/openapi.json is what the code says', async () => {
  const text = `${JSON.stringify(document, null, 2)}\n`;
  await expect(text, `stale; this rewrites it: ${REWRITE}`).toMatchFileSnapshot('../../docs/openapi.json');
});

test('it has the version of the package, and the place where the routes are mounted', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(document.info.version).toBe(version);
  expect(openApiDocument('/events').servers).toEqual([{ url: '/events' }]);
});

test('it has every route and nothing else', () => {
  const routes = [...eventsController, ...metricsController(undefined), ...openApiController('')];
  const told = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(told.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});

/** The services that the cases speak to. */
const store = memoryStore();
const quiet = { logger: false, recovery: false } as const;
const sessions = createEventSessions({
  ...quiet,
  store,
  limits: { maxSessionEvents: 3 },
  topic: ({ type }) => type,
});
const broken = faultyStore(memoryStore());
broken.fault = 'down';
const outage = createEventSessions({ ...quiet, store: broken });
const lost = createEventSessions({ ...quiet, store: broken, contingency: false });
const closed = createEventSessions(quiet);
await closed.close();
afterAll(() => Promise.all([sessions, outage, lost].map((each) => each.close())));

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const authorize = () => true;
const services = {
  working: createHttpHandler(sessions, { authorize, maxBodyBytes: 10_000, bodyTimeoutMs: 20 }),
  refusing: createHttpHandler(sessions, { authorize: () => false }),
  failing: createHttpHandler(sessions, { authorize: () => Promise.reject(new Error('x')), logger: silent }),
  scraped: createHttpHandler(sessions, { authorize, prometheus: new Registry() }),
  outage: createHttpHandler(outage, { authorize }),
  lost: createHttpHandler(lost, { authorize }),
  closed: createHttpHandler(closed, { authorize }),
} satisfies Record<string, HttpHandler>;

interface Case {
  readonly status: number;
  readonly on?: keyof typeof services;
  /** The session that it is about. */
  readonly id?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const ids = { open: 'open', committed: 'committed', rolledBack: 'rolled-back', committing: 'committing' };
for (const sessionId of Object.values(ids)) {
  const session = await sessions.startSession({ sessionId, metadata: { owner: 'a' } });
  await session.add('order.placed', { n: 1 }, { subject: 's', extensions: { traceid: 'x', tries: 1 } });
}
await sessions.session(ids.committed).commit();
await sessions.session(ids.rolledBack).rollback({ reason: 'changed their mind' });
await store.beginCommit(ids.committing, {
  attemptId: 'other',
  leaseMs: 60_000,
  cause: { instance: 'other' },
});

const event = { type: 'order.placed', data: { n: 1 } };
const cloudEvent = { specversion: '1.0', id: '1', source: '/shop', ...event };
const cloudEvents = (batch: '' | '-batch') => ({
  'content-type': `application/cloudevents${batch}+json`,
});
/** A session of its own for a case that ends it. */
let drawn = 0;
async function opened(): Promise<string> {
  drawn += 1;
  const { id } = await sessions.startSession({ sessionId: `own-${drawn}` });
  return id;
}

const CASES: Readonly<Record<string, readonly Case[]>> = {
  startSession: [
    { status: 201 },
    { status: 201, body: { metadata: { owner: 'a' }, ttl: 60_000 }, headers: { 'idempotency-key': 'once' } },
    { status: 200, body: { sessionId: ids.open } },
    { status: 202, body: {}, on: 'outage' },
    ...[[], { ttl: 0 }, { ttl: 1.5 }, { sessionId: 'a b' }, { metadata: 1 }, { other: 1 }].map((body) => ({
      status: 400,
      body,
    })),
    { status: 409, body: { sessionId: ids.committed } },
    { status: 503, on: 'lost' },
  ],
  listSessions: [
    { status: 200 },
    { status: 200, query: '?status=open&limit=1' },
    { status: 400, query: '?limit=0' },
    { status: 503, on: 'lost' },
  ],
  getSession: [
    ...Object.values(ids).map((id) => ({ status: 200, id })),
    { status: 400, id: '%00' },
    { status: 404, id: 'unknown' },
    { status: 503, on: 'lost' },
  ],
  addEvents: [
    { status: 200, id: await opened(), body: event, headers: { 'idempotency-key': 'once' } },
    {
      status: 200,
      id: await opened(),
      body: [{ ...event, id: '1', topic: 't', time: '2025-01-31T12:00:00Z' }],
    },
    { status: 200, id: await opened(), body: cloudEvent, headers: cloudEvents('') },
    {
      status: 200,
      id: await opened(),
      body: [{ ...cloudEvent, traceid: 'x' }],
      headers: cloudEvents('-batch'),
    },
    { status: 202, body: event, on: 'outage' },
    ...[
      [],
      { data: 1 },
      { type: 'a' },
      { ...event, id: '' },
      { ...event, subject: '\n' },
      { ...event, extensions: { A: 1 } },
      { ...event, extensions: { a: {} } },
      { ...event, other: 1 },
    ].map((body) => ({ status: 400, body })),
    ...[
      [cloudEvent],
      { ...cloudEvent, source: '' },
      { ...cloudEvent, specversion: '0.3' },
      { ...cloudEvent, datacontenttype: 'text/xml' },
      { ...cloudEvent, data_base64: 'AA==' },
      { ...cloudEvent, traceid: null },
    ].map((body) => ({ status: 400, body, headers: cloudEvents('') })),
    { status: 400, body: [], headers: cloudEvents('-batch') },
    { status: 404, id: 'unknown', body: event },
    { status: 409, id: ids.committed, body: event },
    { status: 409, body: [event, event, event], headers: {} },
    { status: 503, body: event, on: 'lost' },
  ],
  getSessionEvents: [
    { status: 200 },
    { status: 200, id: ids.committed, query: '?limit=1' },
    { status: 400, query: '?cursor=!' },
    { status: 404, id: 'unknown' },
    { status: 503, on: 'lost' },
  ],
  commitSession: [
    { status: 200, id: await opened(), body: { expectedEvents: 0 } },
    { status: 200, id: ids.committed },
    { status: 202, on: 'outage' },
    ...[{ expectedEvents: -1 }, { other: 1 }, []].map((body) => ({ status: 400, body })),
    { status: 404, id: 'unknown' },
    { status: 409, id: ids.rolledBack },
    { status: 409, body: { expectedEvents: 99 } },
    { status: 409, id: ids.committing },
    { status: 503, on: 'lost' },
  ],
  rollbackSession: [
    { status: 200, id: await opened(), body: { reason: 'changed their mind' } },
    { status: 202, id: 'elsewhere', on: 'outage' },
    ...[{ reason: '' }, { reason: 'a\nb' }, { other: 1 }].map((body) => ({ status: 400, body })),
    { status: 404, id: 'unknown' },
    { status: 409, id: ids.committed },
    { status: 503, on: 'lost' },
  ],
  recover: [{ status: 200 }, { status: 202, on: 'outage' }],
  getMetrics: [
    { status: 200 },
    { status: 200, on: 'outage' },
    { status: 200, on: 'scraped' },
    { status: 406, headers: { accept: 'image/png' } },
  ],
  getLiveness: [{ status: 200 }],
  getReadiness: [{ status: 200 }, { status: 200, on: 'outage' }, { status: 503, on: 'lost' }],
  getOpenApi: [{ status: 200 }],
};

interface Content {
  readonly required?: boolean;
  readonly content: Readonly<Record<string, unknown>>;
}
interface Operation {
  readonly operationId: string;
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content & { readonly headers?: object }>>;
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, told]) => {
    const operation = told as unknown as Operation;
    return {
      name: operation.operationId,
      method,
      path,
      operation,
      cases: CASES[operation.operationId] ?? [],
    };
  }),
);

/** What every operation of a kind refuses or fails with in the same way. */
function commonCases({ operation }: (typeof operations)[number]): Case[] {
  const asksPermission = '403' in operation.responses;
  const always = [{ status: 414, query: `?${'x'.repeat(5_000)}` }];
  const guarded: Case[] = [
    { status: 403, on: 'refusing' },
    { status: 500, on: 'failing' },
    { status: 503, on: 'closed', ...(operation.requestBody?.required && { body: event }) },
  ];
  const withBody: Case[] = [
    { status: 408, body: new ReadableStream() },
    { status: 413, body: 'x'.repeat(20_000) },
    { status: 415, body: '{}', headers: { 'content-type': 'text/plain' } },
  ];
  return [...always, ...(asksPermission ? guarded : []), ...(operation.requestBody ? withBody : [])];
}

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(closedForm(document), 'document');

/** A response may have more than the document tells, for those who read it. Here it may not: the document is complete. */
function closedForm(told: typeof document): object {
  const copy = structuredClone(told);
  const close = (schema: unknown) => {
    if (typeof schema !== 'object' || schema === null) return;
    if ('properties' in schema && !('additionalProperties' in schema))
      Object.assign(schema, { additionalProperties: false });
    Object.values(schema).forEach(close);
  };
  Object.values(copy.components.schemas).forEach(close);
  return copy;
}

/** What is wrong with a value by the schema at this place of the document. */
function mistakes(place: readonly string[], value: unknown): unknown {
  const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')));
  const validate = ajv.compile({ $ref: `document#/${pointer.join('/')}/schema` });
  return validate(value) ? [] : validate.errors;
}

const mediaTypeOf = (headers: Headers) => headers.get('content-type')?.split(';', 1)[0] ?? '';

const titleOf = ({ status, on = 'working', body, ...rest }: Case) =>
  `${status} where it is ${on}: ${JSON.stringify({ ...rest, body }).slice(0, 80)}`;

for (const one of operations)
  describe(one.operation.operationId, () => {
    const { method, path, operation, cases } = one;
    const all = [...cases, ...commonCases(one)];
    const place = ['paths', path, method];

    for (const given of all)
      it(`answers ${titleOf(given)}`, async () => {
        const { status, on = 'working', id = ids.open, query = '', headers = {}, body } = given;
        const raw = typeof body === 'string' || body instanceof ReadableStream;
        const request = new Request(`http://localhost${path.replace('{id}', id)}${query}`, {
          method: method.toUpperCase(),
          headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
          ...(body !== undefined && { body: raw ? body : JSON.stringify(body), duplex: 'half' }),
        });
        const requestType = mediaTypeOf(request.headers);
        const response = await services[on](request);

        expect(response.status).toBe(status);
        const responsePlace = [...place, 'responses', String(status)];
        const told = operation.responses[status];
        const type = mediaTypeOf(response.headers);
        expect(Object.keys(told?.content ?? {})).toContain(type);
        const answer = type.endsWith('json') ? await response.json() : await response.text();
        expect(mistakes([...responsePlace, 'content', type], answer)).toEqual([]);
        if (type === 'application/problem+json') expect(answer).toMatchObject({ status });

        const retryAfter = response.headers.get('retry-after');
        if (type === 'application/problem+json' && status === 503) expect(retryAfter).not.toBeNull();
        if (retryAfter !== null) {
          expect(told?.headers).toHaveProperty('Retry-After');
          expect(mistakes(['components', 'headers', 'RetryAfter'], Number(retryAfter))).toEqual([]);
        }
        if (body !== undefined && !raw && operation.requestBody !== undefined) {
          const wrong = mistakes([...place, 'requestBody', 'content', requestType], body);
          if (status === 400) expect(wrong).not.toEqual([]);
          else expect(wrong).toEqual([]);
        }
      });

    it('has a case for every status that it is told to have', () => {
      expect(cases).not.toEqual([]);
      // Nothing that could be made to fail lies behind a route that asks for no permission.
      const told = Object.keys(operation.responses).filter(
        (status) => status !== '500' || '403' in operation.responses,
      );
      expect([...new Set(all.map(({ status }) => String(status)))].sort()).toEqual(told.sort());
    });
  });

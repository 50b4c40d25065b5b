import { STATUS_CODES } from 'node:http';
import { createEventSessions, EventSessionsError, memoryContingency, memoryStore } from 'event-sessions';
import { createHttpHandler, type HttpOptions, problemOf } from 'event-sessions/http';
import { Counter, Registry } from 'prom-client';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ERROR_CODES } from '../../src/core/errors.js';
import { openSessions } from '../support/open-sessions.js';

const sessions = createEventSessions({ logger: false, recovery: false });
afterAll(() => sessions.close());

function client(options: HttpOptions = {}, on = sessions) {
  const handle = createHttpHandler(on, options);
  return async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      init.body =
        typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body);
      init.headers = { 'content-type': 'application/json', ...headers };
    }
    const response = await handle(new Request(`http://localhost${path}`, init));
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  };
}

describe('a session over HTTP', () => {
  it('is started, filled, read in pages and committed', async () => {
    const call = client();
    const { status, body } = await call('POST', '/sessions', { metadata: { owner: 'a' } });
    expect(status).toBe(201);
    const at = `/sessions/${body.sessionId}`;
    const three = [1, 2, 3].map((n) => ({ type: 'order.placed', data: { n } }));
    expect((await call('POST', `${at}/events`, three)).status).toBe(200);
    const first = (await call('GET', `${at}/events?limit=2`)).body;
    expect(first.events).toHaveLength(2);
    const second = (await call('GET', `${at}/events?cursor=${first.next}`)).body;
    expect(second.events.map((event: { data: unknown }) => event.data)).toEqual([{ n: 3 }]);
    expect(second.next).toBeUndefined();
    const committed = await call('POST', `${at}/commit`, { expectedEvents: 3 });
    expect(committed).toMatchObject({ status: 200, body: { status: 'committed', published: 3 } });
    expect((await call('GET', at)).body).toMatchObject({ status: 'committed', metadata: { owner: 'a' } });
    expect(await call('POST', `${at}/rollback`)).toMatchObject({
      status: 409,
      body: { code: 'SESSION_NOT_OPEN' },
    });
  });

  it('takes a repeated request with an Idempotency-Key once', async () => {
    const call = client();
    const key = { 'idempotency-key': 'any text / at all' };
    const first = await call('POST', '/sessions', {}, key);
    const again = await call('POST', '/sessions', {}, key);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body.sessionId).toBe(first.body.sessionId);
    const at = `/sessions/${first.body.sessionId}`;
    const two = [1, 2].map((n) => ({ type: 'a', data: n }));
    await call('POST', `${at}/events`, two, key);
    await call('POST', `${at}/events`, two, key);
    expect((await call('GET', at)).body.events).toBe(2);
  });

  it('takes CloudEvents, which are the same only by source and id together', async () => {
    const call = client();
    const at = `/sessions/${(await call('POST', '/sessions')).body.sessionId}`;
    const event = (source: string) => ({
      specversion: '1.0',
      id: '1',
      source,
      type: 'a',
      data: {},
      traceid: 'x',
    });
    const one = { 'content-type': 'application/cloudevents+json' };
    const batch = { 'content-type': 'application/cloudevents-batch+json' };
    expect((await call('POST', `${at}/events`, event('/a'), one)).status).toBe(200);
    expect((await call('POST', `${at}/events`, [event('/a'), event('/b')], batch)).status).toBe(200);
    expect((await call('GET', at)).body.events).toBe(2);
    expect((await call('POST', `${at}/events`, event('/c'), batch)).status).toBe(400);
    const { events } = (await call('GET', `${at}/events`)).body;
    expect(events).toMatchObject([
      { originalid: '1', originalsource: '/a', traceid: 'x' },
      { originalid: '1', originalsource: '/b', traceid: 'x' },
    ]);
  });

  it('takes CloudEvents without data, and attributes that are null for unset', async () => {
    const call = client();
    const at = `/sessions/${(await call('POST', '/sessions')).body.sessionId}`;
    const bare = { specversion: '1.0', id: '1', source: '/a', type: 'a' };
    const unset = {
      subject: null,
      time: null,
      datacontenttype: null,
      data: null,
      data_base64: null,
      traceid: null,
    };
    const batch = { 'content-type': 'application/cloudevents-batch+json' };
    expect((await call('POST', `${at}/events`, [bare, { ...bare, ...unset }], batch)).body).toMatchObject({
      events: [{ duplicate: false }, { duplicate: true }],
    });
    const { events } = (await call('GET', `${at}/events`)).body;
    expect(events).toMatchObject([{ data: null, originalid: '1', originalsource: '/a' }]);
    expect(Object.keys(events[0])).not.toContain('traceid');
    expect((await call('POST', `${at}/events`, [{ ...bare, source: null }], batch)).status).toBe(400);
  });
});

describe('what is refused', () => {
  const bad: [string, string, string, unknown, Record<string, string>, number][] = [
    ['unknown path', 'GET', '/nothing', undefined, {}, 404],
    ['unknown session', 'GET', '/sessions/abc', undefined, {}, 404],
    ['id that none can have', 'GET', '/sessions/%00', undefined, {}, 400],
    ['unknown method', 'DELETE', '/sessions', undefined, {}, 405],
    ['broken JSON', 'POST', '/sessions', '{', {}, 400],
    ['bad UTF-8', 'POST', '/sessions', new Uint8Array([34, 255, 34]), {}, 400],
    ['foreign type', 'POST', '/sessions', 'x', { 'content-type': 'text/plain' }, 415],
    ['array to start', 'POST', '/sessions', [], {}, 400],
    ['foreign option', 'POST', '/sessions', { x: 1 }, {}, 400],
    ['too large', 'POST', '/sessions', 'x'.repeat(2_000), {}, 413],
    ['event null', 'POST', '/sessions/abc/events', [null], {}, 400],
    ['bad cursor', 'GET', '/sessions/abc/events?cursor=!', undefined, {}, 400],
    ['bad limit', 'GET', '/sessions/abc/events?limit=x', undefined, {}, 400],
    ['listing without a hook', 'GET', '/sessions', undefined, {}, 403],
    ['recovery without a hook', 'POST', '/recover', undefined, {}, 403],
  ];
  it.each(bad)('%s', async (_, method, path, body, headers, status) => {
    const answer = await client({ maxBodyBytes: 1_000 })(method, path, body, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ status, code: expect.any(String) });
  });

  it.each([
    ['application/json', 'One call takes up to 10000 events'],
    ['application/cloudevents-batch+json', 'One call takes up to 10000 events'],
    ['application/cloudevents+json', 'Event 0 has more than 111 attributes'],
  ])('too much of %s, before any of it is looked at', async (type, detail) => {
    const wrong = Array.from({ length: 10_001 }, () => 'wrong');
    const body = type === 'application/cloudevents+json' ? { ...wrong } : wrong;
    const answer = await client()('POST', '/sessions/abc/events', body, { 'content-type': type });
    expect(answer).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT', detail } });
  });

  it('a body that does not arrive', async () => {
    const handle = createHttpHandler(sessions, { bodyTimeoutMs: 20 });
    const init = { method: 'POST', body: new ReadableStream(), duplex: 'half' as const };
    expect((await handle(new Request('http://localhost/sessions', init))).status).toBe(408);
  });

  it.each([[5], [['mine']], [{}], [''], ['a b']])(
    'the hook is never asked about the id %j',
    async (sessionId) => {
      const authorize = vi.fn(() => true);
      const answer = await client({ authorize })('POST', '/sessions', { sessionId });
      expect(answer).toMatchObject({
        status: 400,
        body: { code: 'INVALID_INPUT', issues: [{ path: 'sessionId' }] },
      });
      expect(authorize).not.toHaveBeenCalled();
    },
  );

  it('what the hook refuses; what it throws stays inside', async () => {
    const asked: unknown[] = [];
    const authorize: HttpOptions['authorize'] = (_, action, id) => asked.push([action, id]) > 99;
    expect((await client({ authorize })('POST', '/sessions', { sessionId: 'mine' })).status).toBe(403);
    expect(asked).toEqual([['start', 'mine']]);
    const logged: unknown[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (...line: unknown[]) => logged.push(line) };
    const throwing = { authorize: () => Promise.reject(new Error('secret')), logger };
    const answer = await client(throwing)('GET', '/sessions');
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL_ERROR' } });
    expect(JSON.stringify(answer.body)).not.toContain('secret');
    expect(logged).toHaveLength(1);
  });
});

describe('authorize refuses', () => {
  const refusing = async (answer: unknown) => {
    const logged: unknown[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (...line: unknown[]) => logged.push(line) };
    const authorize = () => answer as boolean;
    // Without a hook it would be allowed.
    return { ...(await client({ authorize, logger })('POST', '/sessions')), logged };
  };

  it.each([
    ['false', false],
    ['nothing', undefined],
    ['what is true only at a glance', 'yes'],
    ['a promise of it', Promise.resolve(1)],
    ['an object', { status: 200 }],
  ])('by %s', async (_, answer) => {
    expect(await refusing(answer)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' }, logged: [] });
  });

  it.each([
    ['that was answered before', new Response('{}', { status: 401 }), 1],
    ['of an error', Response.error(), 0],
    [
      'that breaks off',
      new Response(new ReadableStream({ pull: () => Promise.reject(new Error('secret')) })),
      0,
    ],
  ])('with a 500 for a Response %s', async (_, response, before) => {
    for (let i = 0; i < before; i += 1) await response.text();
    const answer = await refusing(response);
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL_ERROR' } });
    expect(JSON.stringify(answer.body)).not.toContain('secret');
    expect(answer.logged).toHaveLength(1);
  });

  it('with a 500 when it never answers, and nobody hears of what it says too late', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let tooLate = (_: Error) => {};
    const answering = refusing(
      new Promise((_, reject) => {
        tooLate = reject;
      }),
    );
    await vi.advanceTimersByTimeAsync(10_000);
    const answer = await answering;
    vi.useRealTimers();
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL_ERROR' } });
    expect(answer.logged).toEqual([[expect.any(String), { cause: expect.stringContaining('authorize') }]]);
    tooLate(new Error('secret'));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });
});

describe('an error in a route of one’s own', () => {
  it.each(ERROR_CODES)('%s is told as the routes tell it', (code) => {
    const { status, headers, body } = problemOf(new EventSessionsError(code, 'redis.internal'));
    expect(status).toBeGreaterThanOrEqual(400);
    expect(headers).toMatchObject({ 'content-type': 'application/problem+json' });
    expect('retry-after' in headers).toBe(status === 503);
    expect(body).toMatchObject({ type: 'about:blank', title: STATUS_CODES[status], status, code });
    expect(JSON.stringify(body).includes('redis.internal')).toBe(status < 500);
  });

  it('keeps the facts, and the status of the session beside that of HTTP', () => {
    const facts = { sessionId: 's-1', status: 'committed', index: 2, retryAfterMs: 1_500 } as const;
    expect(problemOf(new EventSessionsError('SESSION_NOT_OPEN', 'no', facts))).toMatchObject({
      status: 409,
      headers: { 'retry-after': '2' },
      body: { status: 409, sessionStatus: 'committed', sessionId: 's-1', index: 2 },
    });
  });

  it.each([[new TypeError('secret')], [undefined], ['secret']])(
    '%s is a 500 that tells nothing',
    (thrown) => {
      const { status, body } = problemOf(thrown);
      expect([status, body.code]).toEqual([500, 'INTERNAL_ERROR']);
      expect(JSON.stringify(body)).not.toContain('secret');
    },
  );
});

describe('operation', () => {
  it('lists in pages, gives metrics and health', async () => {
    const call = client({ authorize: () => true, basePath: '/events' });
    for (let i = 0; i < 2; i += 1) await call('POST', '/events/sessions');
    const page = (await call('GET', '/events/sessions?status=open&limit=1')).body;
    expect(page.sessions).toHaveLength(1);
    expect((await call('GET', `/events/sessions?status=open&cursor=${page.next}`)).status).toBe(200);
    expect((await call('GET', '/events/metrics')).status).toBe(200);
    expect((await call('GET', '/events/metrics', undefined, { accept: 'text/plain' })).status).toBe(406);
    expect((await call('GET', '/events/health/ready')).status).toBe(200);
    expect((await call('OPTIONS', '/events/sessions')).headers.get('allow')).toBe('POST, GET, HEAD, OPTIONS');
    expect(await call('HEAD', '/events/health/live')).toMatchObject({ status: 200, body: undefined });
  });

  it.each([
    [null, 'text/plain; version=0.0.4; charset=utf-8'],
    ['*/*', 'text/plain; version=0.0.4; charset=utf-8'],
    // What Prometheus sends.
    [
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1',
      'text/plain; version=0.0.4; charset=utf-8',
    ],
    ['application/json', 'application/json'],
    ['text/*;q=0.1, application/json', 'application/json'],
    ['text/plain;q=0, */*', 'application/json'],
    ['image/png', 'application/problem+json'],
    ['application/json;q=0', 'application/problem+json'],
  ])('metrics for Accept: %s are %s', async (accept, type) => {
    const prometheus = new Registry();
    new Counter({ name: 'told', help: 'x', registers: [prometheus] }).inc();
    const handle = createHttpHandler(sessions, { authorize: () => true, prometheus });
    const headers = accept === null ? {} : { accept };
    const response = await handle(new Request('http://localhost/metrics', { headers }));
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.status).toBe(type.includes('problem') ? 406 : 200);
    if (type.startsWith('text/')) expect(await response.text()).toContain('told 1');
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  it('answers 202 while the log stands in for the store, and is not ready without either', async () => {
    const store = memoryStore();
    const contingency = memoryContingency();
    const down = openSessions({ logger: false, recovery: false, store, contingency });
    const call = client({ logger: false }, down);
    const { sessionId } = (await call('POST', '/sessions')).body;
    const failing = () =>
      Promise.reject(new EventSessionsError('STORE_UNAVAILABLE', 'redis.internal is down'));
    Object.assign(store, {
      start: failing,
      append: failing,
      get: failing,
      ping: failing,
      beginCommit: failing,
    });
    for (const [path, body] of [
      ['/sessions', {}],
      [`/sessions/${sessionId}/events`, { type: 'a', data: 1 }],
      [`/sessions/${sessionId}/commit`, {}],
    ] as const) {
      expect((await call('POST', path, body)).status, path).toBe(202);
    }
    expect(await call('GET', '/health/ready')).toMatchObject({ status: 200, body: { status: 'degraded' } });
    Object.assign(contingency, { append: failing, ping: failing });
    const refused = await call('POST', '/sessions');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(JSON.stringify(refused.body)).not.toContain('redis.internal');
    expect(await call('GET', '/health/ready')).toMatchObject({ status: 503, body: { status: 'down' } });
  });

  it('says when to come back once the sessions are closed', async () => {
    const closed = createEventSessions({ logger: false, recovery: false });
    await closed.close();
    const answer = await client({}, closed)('POST', '/sessions');
    expect(answer).toMatchObject({ status: 503, body: { code: 'CLOSED' } });
    expect(answer.headers.get('retry-after')).toBe('5');
  });
});

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createEventSessions } from 'event-sessions';
import { eventSessionsRouter } from 'event-sessions/express';
import { eventSessionsPlugin } from 'event-sessions/fastify';
import { createHttpHandler, nodeListener } from 'event-sessions/http';
import express, { type Request as ExpressRequest } from 'express';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { EDGES, type Edge, headerOf, onExpress } from './support/edges.js';

declare module 'fastify' {
  interface FastifyRequest {
    user?: string;
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

describe.each(EDGES)('on %s', (name, start) => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  let edge: Edge;
  beforeAll(async () => {
    edge = await start(sessions, {
      authorize(request) {
        const may = headerOf(request, 'x-may');
        if (may !== 'log in') return may !== 'no';
        const headers = [
          ['WWW-Authenticate', 'Bearer realm="shop"'],
          ['Set-Cookie', 'user=; Max-Age=0'],
          ['Set-Cookie', 'cart=; Max-Age=0'],
        ] satisfies [string, string][];
        return new Response('{"who":"are you?"}', { status: 401, headers });
      },
      maxBodyBytes: 10_000,
    });
  });
  afterAll(async () => {
    await edge.close();
    await sessions.close();
  });

  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const init: RequestInit = {
      method,
      headers: body === undefined ? headers : { ...JSON_TYPE, ...headers },
    };
    if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await edge.fetch(`${edge.url}${path}`, init);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  };

  test('a session is started, filled in each of the ways, read and committed', async () => {
    const started = await call('POST', '/sessions', { metadata: { owner: 'é' } });
    expect(started.status).toBe(201);
    const at = `/sessions/${started.body.sessionId}`;
    expect((await call('POST', `${at}/events`, { type: 'a', data: { text: 'ü' } })).status).toBe(200);
    expect(
      (
        await call('POST', `${at}/events`, [
          { type: 'a', data: 1 },
          { type: 'b', data: [1] },
        ])
      ).status,
    ).toBe(200);
    const cloudEvent = { specversion: '1.0', id: '1', source: '/x', type: 'c', data: null };
    const structured = { 'content-type': 'application/cloudevents+json' };
    const batch = { 'content-type': 'application/cloudevents-batch+json' };
    expect((await call('POST', `${at}/events`, cloudEvent, structured)).status).toBe(200);
    expect((await call('POST', `${at}/events`, [cloudEvent], batch)).body).toMatchObject({
      events: [{ duplicate: true }],
    });
    const page = await call('GET', `${at}/events?limit=100`);
    expect(page.body.events.map((event: { type: string }) => event.type)).toEqual(['a', 'a', 'b', 'c']);
    expect(page.body.events[0].data).toEqual({ text: 'ü' });
    expect(await call('POST', `${at}/commit`)).toMatchObject({
      status: 200,
      body: { status: 'committed', published: 4 },
    });
    expect((await call('GET', at)).body).toMatchObject({ status: 'committed', metadata: { owner: 'é' } });
  });

  test('operators get lists, metrics, health, and may recover', async () => {
    expect((await call('GET', '/sessions?status=open&limit=1')).status).toBe(200);
    expect((await call('GET', '/metrics')).body).toMatchObject({ sessions: {} });
    expect((await call('POST', '/recover')).body).toMatchObject({ complete: true });
    expect((await call('GET', '/health/ready')).body).toEqual({ status: 'ok' });
    expect(await call('HEAD', '/health/live')).toMatchObject({ status: 200, body: undefined });
    const { pathname } = new URL(edge.url);
    expect((await call('GET', '/openapi.json')).body.servers).toEqual([{ url: pathname }]);
    const options = await call('OPTIONS', '/sessions');
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'POST, GET, HEAD, OPTIONS']);
  });

  const refused: [
    what: string,
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
    status: number,
  ][] = [
    ['an unknown path', 'GET', '/nothing', undefined, {}, 404],
    ['a path above', 'GET', '/sessions/%2e%2e/nothing', undefined, {}, 404],
    ['an id with NUL', 'GET', '/sessions/%00', undefined, {}, 400],
    ['an unknown session', 'GET', '/sessions/unknown', undefined, {}, 404],
    ['a foreign method', 'DELETE', '/sessions', undefined, {}, 405],
    ['a foreign type', 'POST', '/sessions', 'x', { 'content-type': 'text/plain' }, 415],
    ['a foreign option', 'POST', '/sessions', { sauce: 1 }, {}, 400],
    ['an array to start', 'POST', '/sessions', [], {}, 400],
    ['a body that is too large', 'POST', '/sessions', { metadata: { x: 'x'.repeat(20_000) } }, {}, 413],
    ['what the hook refuses', 'POST', '/sessions', {}, { 'x-may': 'no' }, 403],
    ['a long URL', 'GET', `/sessions/${'x'.repeat(5_000)}`, undefined, {}, 414],
  ];
  test.each(refused)('%s is a problem', async (_, method, path, body, headers, status) => {
    const answer = await call(method, path, body, headers);
    expect(answer).toMatchObject({ status, body: { status, code: expect.any(String) } });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect((await call('GET', '/health/live')).status).toBe(200);
  });

  test('what the hook answers in its own words is the answer, each time and to HEAD without its body', async () => {
    for (let i = 0; i < 2; i += 1) {
      const { status, headers, body } = await call('GET', '/sessions', undefined, { 'x-may': 'log in' });
      expect([status, body]).toEqual([401, { who: 'are you?' }]);
      expect(headers.get('www-authenticate')).toBe('Bearer realm="shop"');
      expect(headers.getSetCookie()).toEqual(['user=; Max-Age=0', 'cart=; Max-Age=0']);
    }
    expect(await call('HEAD', '/sessions', undefined, { 'x-may': 'log in' })).toMatchObject({
      status: 401,
      body: undefined,
    });
  });

  test('HEAD tells what GET would, with the length of its body', async () => {
    for (const path of ['/health/live', '/sessions', '/sessions/unknown', '/nothing']) {
      const [head, get] = [await call('HEAD', path), await edge.fetch(`${edge.url}${path}`)];
      expect(head, path).toMatchObject({ status: get.status, body: undefined });
      expect(head.headers.get('content-length'), path).toBe(`${(await get.arrayBuffer()).byteLength}`);
    }
  });

  test('no cache may keep what is told of a session, nor that there is none', async () => {
    await call('POST', '/sessions', { sessionId: 'cached' });
    for (const path of ['/sessions/cached', '/sessions/unknown', '/sessions', '/nothing', '/metrics'])
      expect((await call('GET', path)).headers.get('cache-control'), path).toBe('no-store');
  });

  test('a compressed body is refused with what is taken, unless a middleware has undone it', async () => {
    const send = (coding: string, body: Buffer) =>
      edge.fetch(`${edge.url}/sessions`, {
        method: 'POST',
        headers: { ...JSON_TYPE, 'content-encoding': coding },
        body,
      });
    expect((await send('identity', Buffer.from('{}'))).status).toBe(201);
    const response = await send('gzip', gzipSync('{}'));
    if (name === 'Express behind express.json()') {
      expect(response.status).toBe(201);
    } else {
      expect(response).toMatchObject({ status: 415 });
      expect(response.headers.get('accept-encoding')).toBe('identity');
    }
    const foreign = await call('POST', '/sessions', 'x', { 'content-type': 'text/plain' });
    expect(foreign.headers.has('accept-encoding')).toBe(false);
  });

  test('a content type that is none is refused as one that is not taken', async () => {
    for (const type of ['garbage', 'application/', 'a b/c', '/json']) {
      const { status, headers, body } = await call('POST', '/sessions', {}, { 'content-type': type });
      expect(status, type).toBe(415);
      expect(headers.get('content-type')).toBe('application/problem+json');
      expect(body).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
    }
  });

  test('a body that is no JSON is refused, by whoever reads it', async () => {
    const init = { method: 'POST', headers: JSON_TYPE, body: '{' };
    expect((await edge.fetch(`${edge.url}/sessions`, init)).status).toBe(400);
  });
});

test('options that are wrong are refused before anything is mounted', async () => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  const invalid = expect.objectContaining({ code: 'INVALID_INPUT' });
  for (const wrong of [
    { maxBodyBytes: Number.NaN },
    { bodyTimeoutMs: 0 },
    { authorize: 'yes' },
    { prometheus: {} },
    { logger: {} },
    { basePath: '/events/' },
    { sauce: 1 },
  ]) {
    expect(() => createHttpHandler(sessions, wrong as never), JSON.stringify(wrong)).toThrow(invalid);
  }
  expect(() => eventSessionsRouter(sessions, { maxBodyBytes: -1 })).toThrow(invalid);
  await expect(Fastify().register(eventSessionsPlugin(sessions, { maxBodyBytes: -1 }))).rejects.toEqual(
    invalid,
  );
  await sessions.close();
});

interface WithUser extends ExpressRequest {
  user?: { readonly name: string };
}

describe('authorize sees what a middleware has put on the request', () => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  afterAll(() => sessions.close());

  test('of Express', async () => {
    const seen: unknown[] = [];
    const app = express()
      .use((request: WithUser, _response, next) => {
        request.user = { name: 'u-1' };
        next();
      })
      .use(
        '/of/:tenant',
        eventSessionsRouter(sessions, {
          authorize: ({ user, originalUrl }: WithUser, action) => {
            seen.push([user?.name, originalUrl, action]);
            return user?.name === 'u-1';
          },
        }),
      );
    const edge = await onExpress('/of/acme', app);
    expect((await fetch(`${edge.url}/sessions`)).status).toBe(200);
    await edge.close();
    expect(seen).toEqual([['u-1', '/of/acme/sessions', 'list']]);
  });

  test('of NestJS', async () => {
    @Module({})
    class Empty {}
    const app = await NestFactory.create(Empty, { logger: false });
    app.use((request: WithUser, _response: unknown, next: () => void) => {
      request.user = { name: 'u-1' };
      next();
    });
    app.use(
      '/events',
      eventSessionsRouter(sessions, { authorize: ({ user }: WithUser) => user?.name === 'u-1' }),
    );
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/events/sessions`;
    expect((await fetch(url)).status).toBe(200);
    const started = await fetch(url, { method: 'POST', headers: JSON_TYPE, body: '{"sessionId":"of-nest"}' });
    expect(await started.json()).toMatchObject({ sessionId: 'of-nest', created: true });
    await app.close();
  });

  test('of Fastify', async () => {
    const app = Fastify();
    app.decorateRequest('user', '');
    app.addHook('onRequest', async (request) => {
      request.user = 'u-1';
    });
    await app.register(eventSessionsPlugin(sessions, { authorize: ({ user }) => user === 'u-1' }));
    expect((await app.inject('/sessions')).statusCode).toBe(200);
    await app.close();
  });

  test('of Fastify: what a hook of the application throws is answered by its own error handler', async () => {
    const app = Fastify();
    app.addHook('preHandler', async () => {
      throw new Error('no');
    });
    app.setErrorHandler((_error, _request, reply) => reply.code(418).send('mine'));
    await app.register(eventSessionsPlugin(sessions));
    const answer = await app.inject('/sessions');
    expect([answer.statusCode, answer.body]).toEqual([418, 'mine']);
    await app.close();
  });
});

describe('a body that a middleware has read to its end', () => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  afterAll(() => sessions.close());

  test.each([
    ['express.json()', express.json()],
    [
      'one that throws it away',
      (async (request, _response, next) => {
        await request.toArray();
        next();
      }) satisfies express.RequestHandler,
    ],
  ])('is not waited for when it was empty: %s', async (_, middleware) => {
    const router = eventSessionsRouter(sessions, { bodyTimeoutMs: 2_147_483_647 });
    const edge = await onExpress('/events', express().use(middleware).use('/events', router));
    const chunked = new ReadableStream({ start: (controller) => controller.close() });
    for (const body of [chunked, undefined]) {
      const init = { method: 'POST', headers: JSON_TYPE, body, duplex: 'half' } as RequestInit;
      expect((await fetch(`${edge.url}/sessions`, init)).status).toBe(201);
    }
    await edge.close();
  });
});

describe('as a listener of node:http', () => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  afterAll(() => sessions.close());

  /** What the listener rejected with: in a process of its own each would end it. */
  async function failuresOf(
    listener: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
    use: (port: number) => Promise<unknown>,
  ): Promise<unknown[]> {
    const failures: unknown[] = [];
    const answers: Promise<unknown>[] = [];
    const server = createServer((request, response) => {
      answers.push(listener(request, response).catch((error) => failures.push(error)));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    await use((server.address() as AddressInfo).port);
    await Promise.all(answers);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    return failures;
  }

  test('it does not contradict a middleware that has answered before', async () => {
    const listener = nodeListener(createHttpHandler(sessions));
    const failures = await failuresOf(
      (request, response) => {
        response.writeHead(504).end();
        return listener(request, response);
      },
      async (port) => expect((await fetch(`http://127.0.0.1:${port}/health/live`)).status).toBe(504),
    );
    expect(failures).toEqual([]);
  });

  test('it does not wait for the body of a caller that has hung up before', async () => {
    let arrived = () => {};
    const isHere = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const failures = await failuresOf(
      async (request, response) => {
        arrived();
        await new Promise((resolve) => request.once('close', resolve));
        await nodeListener(createHttpHandler(sessions, { bodyTimeoutMs: 2_147_483_647 }))(request, response);
      },
      async (port) => {
        const socket = connect(port, '127.0.0.1').on('error', () => {});
        socket.write('POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{');
        await isHere;
        socket.resetAndDestroy();
      },
    );
    expect(failures).toEqual([]);
  });

  test.each([
    ['rejects', () => Promise.reject(new Error('secret'))],
    [
      'throws',
      () => {
        throw new Error('secret');
      },
    ],
    [
      'answers what breaks off',
      async () => new Response(new ReadableStream({ pull: () => Promise.reject(new Error('secret')) })),
    ],
  ])('a handler around the routes that %s is a 500', async (_, handler) => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => {});
    const failures = await failuresOf(nodeListener(handler), async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/sessions`);
      expect([response.status, await response.text()]).toEqual([500, expect.not.stringContaining('secret')]);
    });
    expect(failures).toEqual([]);
    expect(said).toHaveBeenCalledOnce();
    said.mockRestore();
  });

  test('it outlives a caller that hangs up while the hook thinks', async () => {
    let asked = () => {};
    const thinks = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const failures = await failuresOf(
      async (request, response) => {
        const authorize = async () => {
          asked();
          await new Promise((resolve) => request.once('close', resolve));
          return false;
        };
        await nodeListener(createHttpHandler(sessions, { authorize }))(request, response);
      },
      async (port) => {
        const socket = connect(port, '127.0.0.1').on('error', () => {});
        socket.write('POST /sessions/a/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{');
        await thinks;
        socket.resetAndDestroy();
      },
    );
    expect(failures).toEqual([]);
  });
});

describe('a path is what came, so that nobody gets around what guards a part of the routes', () => {
  const sessions = createEventSessions({ logger: false, recovery: false });
  afterAll(() => sessions.close());

  const statusOf = async (url: string, target: string): Promise<number> => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(`POST ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    const chunks = await socket.toArray();
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(Buffer.concat(chunks).toString())?.[1]);
  };

  const guarded = ['Express', 'Fastify'].map(
    (name) => EDGES.find(([edge]) => edge === name) as (typeof EDGES)[number],
  );
  test.each(guarded)('on %s', async (_, start) => {
    const edge = await start(sessions, { authorize: () => true });
    expect(await statusOf(edge.url, '/events/recover')).toBe(200);
    for (const target of ['x/../recover', 'x/%2e%2E/recover', './recover', 'x\\..\\recover', 'sessions\\x'])
      expect(await statusOf(edge.url, `/events/${target}`), target).toBe(404);
    await edge.close();
  });
});

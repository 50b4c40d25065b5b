import { connect } from 'node:net';
import { createEventSessions } from 'event-sessions';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EDGES, type Edge } from './support/edges.js';

const RUNS = 60;
const edges = EDGES.filter(([name]) => name === 'Express' || name === 'Fastify');

describe.each(edges)('nothing that a caller sends breaks %s', (_, start) => {
  const logged: unknown[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (...line: unknown[]) => logged.push(line) };
  const sessions = createEventSessions({ logger: false, recovery: false });
  let edge: Edge;
  let open: string;
  beforeAll(async () => {
    edge = await start(sessions, {
      authorize: () => true,
      maxBodyBytes: 100_000,
      bodyTimeoutMs: 200,
      logger,
    });
    open = (await sessions.startSession()).id;
  });
  afterAll(async () => {
    await edge.close();
    await sessions.close();
    expect(logged).toEqual([]);
  });

  /** Sends bytes as they are, and answers the statuses of what came back until the connection ended. */
  function exchange(...parts: (string | Uint8Array)[]): Promise<number[]> {
    const { hostname, port } = new URL(edge.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      let text = '';
      const hang = setTimeout(
        () => reject(new Error(`no answer to ${String(parts[0]).slice(0, 200)}`)),
        5_000,
      );
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      // A server that refuses what it is sent may close while it is still being sent.
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(hang);
        resolve([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)));
      });
      for (const part of parts) socket.write(part);
    });
  }

  const head = (line: string, ...headers: string[]) =>
    `${[`${line} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;
  const bytesOf = (text: string | Uint8Array) => Buffer.from(text);
  const post = (path: string, body: string | Uint8Array, ...headers: string[]) =>
    exchange(
      head(
        `POST /events${path}`,
        ...(headers.length > 0 ? headers : ['Content-Type: application/json']),
        `Content-Length: ${bytesOf(body).length}`,
      ),
      bytesOf(body),
    );
  const refused = (statuses: number[]) => {
    expect(statuses).toHaveLength(1);
    expect(statuses[0]).toBeGreaterThanOrEqual(400);
    expect(statuses[0]).toBeLessThan(500);
  };
  const notOurFault = (statuses: number[]) => {
    expect(statuses).toHaveLength(1);
    expect(statuses[0]).toBeLessThan(500);
  };

  const json = fc.oneof(
    { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    fc.record(
      {
        sessionId: fc.jsonValue({ maxDepth: 1 }),
        metadata: fc.jsonValue({ maxDepth: 2 }),
        ttl: fc.jsonValue({ maxDepth: 1 }),
        expectedEvents: fc.jsonValue({ maxDepth: 1 }),
        reason: fc.jsonValue({ maxDepth: 1 }),
        type: fc.jsonValue({ maxDepth: 1 }),
        data: fc.jsonValue({ maxDepth: 2 }),
        id: fc.jsonValue({ maxDepth: 1 }),
        specversion: fc.constantFrom('1.0', 1, null),
        source: fc.jsonValue({ maxDepth: 1 }),
        extensions: fc.jsonValue({ maxDepth: 2 }),
        ['__proto__']: fc.jsonValue({ maxDepth: 1 }),
      },
      { requiredKeys: [] },
    ),
  );
  const target = fc.constantFrom(
    '/sessions',
    '/recover',
    ...['events', 'commit', 'rollback'].map((word) => `/sessions/a/${word}`),
  );
  const type = fc.constantFrom(
    ['Content-Type: application/json'],
    ['Content-Type: application/cloudevents+json'],
    ['Content-Type: application/cloudevents-batch+json'],
    ['Content-Type: application/json', 'Idempotency-Key: k'],
    ['Content-Type: ;;;'],
    ['Content-Type: text/plain, application/json'],
  );

  test('JSON of any shape', async () => {
    const property = fc.asyncProperty(
      target,
      fc.oneof(json, fc.array(json, { maxLength: 3 })),
      type,
      async (path, body, headers) => notOurFault(await post(path, JSON.stringify(body), ...headers)),
    );
    await fc.assert(property, { numRuns: RUNS });
  });

  test('events of any shape for a session that is open', async () => {
    const property = fc.asyncProperty(json, type, async (body, headers) =>
      notOurFault(await post(`/sessions/${open}/events`, JSON.stringify(body), ...headers)),
    );
    await fc.assert(property, { numRuns: RUNS });
  });

  test('bytes of any kind', async () => {
    const property = fc.asyncProperty(
      target,
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      async (path, bytes) => {
        // The one place that takes no body takes no offence at one.
        const statuses = await post(path, bytes);
        if (path === '/recover') notOurFault(statuses);
        else refused(statuses);
      },
    );
    await fc.assert(property, { numRuns: RUNS });
  });

  test('paths of any kind', async () => {
    const piece = fc.constantFrom(
      '..',
      '.',
      '%2e%2e',
      '%2E',
      '%00',
      '%',
      '%ff',
      '//',
      '/',
      '\\',
      ';',
      '?',
      '#',
      'sessions',
      'metrics',
      '%2f',
      '@',
      ':',
      '[',
      'x'.repeat(300),
    );
    const method = fc.constantFrom(
      'GET',
      'POST',
      'HEAD',
      'PUT',
      'DELETE',
      'PATCH',
      'TRACE',
      'PROPFIND',
      'M-SEARCH',
      'QUERY',
      'NOPE',
    );
    const property = fc.asyncProperty(method, fc.array(piece, { maxLength: 30 }), async (verb, pieces) =>
      notOurFault(await exchange(head(`${verb} /events/sessions/${pieces.join('')}`))),
    );
    await fc.assert(property, { numRuns: RUNS * 2 });
    for (const line of [
      'OPTIONS *',
      'GET //events',
      'GET http://[/events',
      'GET events',
      'TRACE /events/sessions',
    ])
      refused(await exchange(head(line)));
  });

  test('queries and header values of any kind', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 100 }).map((value) => encodeURIComponent(value));
    const value = fc.string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((c) => c !== 0x7f)
        .map((c) => String.fromCharCode(c)),
      maxLength: 300,
    });
    const name = fc.constantFrom('cursor', 'limit', 'status', '__proto__', 'constructor');
    const header = fc.constantFrom('Accept', 'Idempotency-Key', 'X-Any', 'Content-Type');
    const property = fc.asyncProperty(name, text, header, value, async (key, query, field, content) => {
      for (const path of ['/sessions', '/sessions/a/events', '/metrics'])
        notOurFault(
          await exchange(
            Buffer.from(head(`GET /events${path}?${key}=${query}`, `${field}: ${content}`), 'latin1'),
          ),
        );
    });
    await fc.assert(property, { numRuns: RUNS });
  });

  test('JSON that is very deep', async () => {
    const depth = 40_000;
    const deep = '['.repeat(depth) + ']'.repeat(depth);
    refused(await post('/sessions', `{"metadata":{"a":${deep}}}`));
    refused(await post(`/sessions/${open}/events`, `{"type":"a","data":${deep}}`));
    refused(await post(`/sessions/${open}/events`, deep));
    refused(await post(`/sessions/${open}/events`, `{"type":"a","data":${deep}`));
    const nested = `${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}`;
    refused(await post(`/sessions/${open}/events`, `{"type":"a","data":${nested}}`));
    refused(
      await post(
        `/sessions/${open}/events`,
        `{"specversion":"1.0","id":"1","source":"/","type":"a","x":${deep}}`,
        'Content-Type: application/cloudevents+json',
      ),
    );
  });

  test('a huge body is answered while it is still being sent', async () => {
    const chunk = Buffer.alloc(65_536, 32);
    const declared = head(
      'POST /events/sessions',
      'Content-Type: application/json',
      'Content-Length: 1000000000',
    );
    expect(await exchange(declared, ...Array<Buffer>(50).fill(chunk))).toEqual([413]);
    const chunked = head(
      'POST /events/sessions',
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    );
    expect(await exchange(chunked, ...Array<string>(50).fill(`10000\r\n${chunk}\r\n`))).toEqual([413]);
  });

  test('a slow body is given up', async () => {
    const declared = head('POST /events/sessions', 'Content-Type: application/json', 'Content-Length: 100');
    expect(await exchange(declared, '{')).toEqual([408]);
  });

  test('a connection outlives a body that was refused, if the rest of it comes', async () => {
    const keepAlive = (text: string) => text.replace('Connection: close\r\n', '');
    const declared = (length: number) =>
      keepAlive(head('POST /events/sessions', 'Content-Type: application/json', `Content-Length: ${length}`));
    const last = head('GET /events/health/live');
    expect(await exchange(declared(200_000), Buffer.alloc(200_000, 32), last)).toEqual([413, 200]);
    const toNobody = keepAlive(head('POST /events/nothing', 'Content-Length: 200000'));
    expect(await exchange(toNobody, Buffer.alloc(200_000, 32), last)).toEqual([404, 200]);
    expect(await exchange(declared(100), '{')).toEqual([408]);
  });

  test('a caller that hangs up in the middle', async () => {
    const { hostname, port } = new URL(edge.url);
    for (let i = 0; i < 20; i += 1) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(
            head('POST /events/sessions', 'Content-Type: application/json', 'Content-Length: 100'),
          );
          socket.write('{', () => (i % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()));
        });
        socket.on('error', () => {}).on('close', () => resolve());
      });
    }
    expect(await exchange(head('GET /events/health/live'))).toEqual([200]);
  });

  test('floods and contradictions of headers', async () => {
    const many = Array.from({ length: 1_900 }, (_, i) => `X-${i}: `);
    notOurFault(await exchange(head('GET /events/health/live', ...many)));
    refused(await exchange(head('GET /events/health/live', `X: ${'x'.repeat(100_000)}`)));
    refused(await exchange(head('POST /events/sessions', 'Content-Length: 1', 'Content-Length: 2'), '{}'));
    refused(await exchange(head('POST /events/sessions', 'Content-Length: -1'), '{}'));
    refused(
      await exchange(head('POST /events/sessions', 'Content-Length: 2', 'Transfer-Encoding: chunked'), '{}'),
    );
    refused(
      await post('/sessions', '{}', 'Content-Type: application/json', 'Content-Type: application/json'),
    );
    refused(await post('/sessions', '{}', 'Idempotency-Key: '));
    refused(await post('/sessions', '{}', `Idempotency-Key: ${'k'.repeat(257)}`));
    expect(await exchange(head('GET /events/health/live'))).toEqual([200]);
  });
});

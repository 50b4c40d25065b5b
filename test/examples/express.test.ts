import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createEventSessions,
  EventSessionsError,
  type EventSessionsOptions,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import { createApp } from '../../examples/express/app.js';
import { shopEvents } from '../../examples/express/shop-events.js';
import { address, shopClient } from './shop-client.js';

const OPERATOR_TOKEN = 'the-operators-token';
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startShop(options: EventSessionsOptions = {}) {
  const publisher = memoryPublisher();
  const sessions = createEventSessions({
    publisher,
    recovery: false,
    logger: false,
    ...options,
    events: shopEvents,
  });
  const logged: unknown[] = [];
  const prometheus = new Registry();
  prometheusMetrics(sessions, prometheus);
  const log = (_message: string, error: unknown) => logged.push(error);
  const server = createServer(createApp(sessions, { log, operatorToken: OPERATOR_TOKEN, prometheus }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(sessions.close, async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const shop = shopClient(url, 'u-1');
  return {
    url,
    shop,
    other: shopClient(url, 'u-2'),
    nobody: shopClient(url, undefined),
    sessions,
    publisher,
    logged,
    open: async () => (await shop.post('/checkouts')).body.id as string,
  };
}

describe('a checkout', () => {
  test('is opened, filled and placed by requests of their own', async () => {
    const { shop, publisher } = await startShop();
    const opened = await shop.post('/checkouts');
    const { id } = opened.body;
    expect(opened).toMatchObject({ status: 201, body: { status: 'open', deferred: false } });
    expect(opened.headers.get('location')).toBe(`/checkouts/${id}`);

    const item = await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 2 });
    expect(item).toMatchObject({ status: 201, body: { duplicate: false, deferred: false } });
    expect((await shop.post(`/checkouts/${id}/address`, address)).status).toBe(201);
    expect((await shop.post(`/checkouts/${id}/payment`, { method: 'card' })).status).toBe(201);
    expect(await shop.get(`/checkouts/${id}`)).toMatchObject({
      status: 200,
      body: { id, status: 'open', events: 3, published: 0 },
    });
    expect(publisher.published).toEqual([]);

    const committed = await shop.post(`/checkouts/${id}/commit`, { expectedEvents: 3 });
    expect(committed).toMatchObject({
      status: 200,
      body: { status: 'committed', published: 3, deferred: 0 },
    });
    expect(publisher.published.map(({ event }) => [event.type, event.data])).toEqual([
      ['item.added', { sku: 'tea', quantity: 2 }],
      ['address.given', address],
      ['payment.chosen', { method: 'card' }],
    ]);
  });

  test('that is placed twice is placed once', async () => {
    const { shop, open, publisher } = await startShop();
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 });
    const first = await shop.post(`/checkouts/${id}/commit`);
    const second = await shop.post(`/checkouts/${id}/commit`);
    expect(second.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect(publisher.published).toHaveLength(1);
  });

  test('that is abandoned publishes nothing, and cannot be placed any more', async () => {
    const { shop, open, publisher } = await startShop();
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 });
    expect(await shop.post(`/checkouts/${id}/rollback`, { reason: 'changed my mind' })).toMatchObject({
      status: 200,
      body: { status: 'rolled_back', discarded: 1 },
    });
    expect(await shop.post(`/checkouts/${id}/commit`)).toMatchObject({
      status: 409,
      body: { title: 'Conflict', status: 409, code: 'SESSION_NOT_OPEN', sessionStatus: 'rolled_back' },
    });
    expect(publisher.published).toEqual([]);
  });

  test('takes a request that is sent twice once, by its Idempotency-Key', async () => {
    const { shop, open } = await startShop();
    const id = await open();
    const send = () =>
      shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 }, { 'idempotency-key': 'key-1' });
    expect(await send()).toMatchObject({ status: 201, body: { eventId: 'key-1', duplicate: false } });
    expect(await send()).toMatchObject({ status: 200, body: { eventId: 'key-1', duplicate: true } });
    expect((await shop.get(`/checkouts/${id}`)).body.events).toBe(1);
  });

  test('is there for its user only: others learn not even that it exists', async () => {
    const { shop, other, nobody, open } = await startShop();
    const id = await open();
    for (const [path, body] of [
      ['items', { sku: 'tea', quantity: 1 }],
      ['commit', undefined],
      ['rollback', undefined],
    ] as const) {
      const theirs = await other.post(`/checkouts/${id}/${path}`, body);
      const missing = await other.post(`/checkouts/no-such-checkout/${path}`, body);
      expect(theirs.status).toBe(404);
      expect(JSON.stringify(theirs.body).replaceAll(id, 'no-such-checkout')).toBe(
        JSON.stringify(missing.body),
      );
    }
    expect((await other.get(`/checkouts/${id}`)).status).toBe(404);
    expect((await nobody.get(`/checkouts/${id}`)).status).toBe(401);
    expect((await shop.get(`/checkouts/${id}`)).body).toMatchObject({ status: 'open', events: 0 });
  });

  test('that another instance has started is still its user’s', async () => {
    const { shop, other, sessions } = await startShop();
    const { id } = await sessions.startSession({ metadata: { user: 'u-1' } });
    const ofNobody = await sessions.startSession();
    expect((await other.get(`/checkouts/${id}`)).status).toBe(404);
    expect((await shop.get(`/checkouts/${id}`)).status).toBe(200);
    expect((await shop.get(`/checkouts/${ofNobody.id}`)).status).toBe(404);
  });
});

describe('a problem', () => {
  test('is told as problem+json', async () => {
    const { shop } = await startShop();
    const { status, headers, body } = await shop.get('/checkouts/no-such-checkout');
    expect(status).toBe(404);
    expect(headers.get('content-type')).toMatch('application/problem+json');
    expect(body).toMatchObject({
      title: 'Not Found',
      status: 404,
      code: 'SESSION_NOT_FOUND',
      sessionId: 'no-such-checkout',
    });
  });

  test('with the request keeps the status of whoever found it', async () => {
    const { shop, open } = await startShop({ publisher: memoryPublisher({ maxEventBytes: 300 }) });
    const id = await open();
    const items = `/checkouts/${id}/items`;
    const answers = [
      await shop.post(items, '{ "sku": '),
      await shop.post(items, `"${'x'.repeat(200_000)}"`),
      await shop.post(items, { sku: 'tea', quantity: 0 }),
      await shop.post(items),
      await shop.post(items, { sku: 'tea', quantity: 1 }, { 'idempotency-key': 'not an id' }),
      await shop.post(items, { sku: 'x'.repeat(200), quantity: 1 }),
      await shop.post(`/checkouts/${id}/commit`, { expectedEvents: 5 }),
      await shop.post(`/checkouts/${id}/commit`, { expectedEvents: 'five' }),
      await shop.get('/checkouts/not%20an%20id'),
      await shop.get('/nowhere'),
    ];
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual([
      [400, undefined],
      [413, undefined],
      [400, 'INVALID_EVENT'],
      [400, 'INVALID_EVENT'],
      [400, 'INVALID_INPUT'],
      [413, 'EVENT_TOO_LARGE'],
      [409, 'EXPECTED_EVENTS_MISMATCH'],
      [400, 'INVALID_INPUT'],
      [400, 'INVALID_INPUT'],
      [404, undefined],
    ]);
    expect(answers[2]?.body.issues).toMatchObject([{ path: 'quantity' }]);
    expect(answers[6]?.body).toMatchObject({ expected: 5, actual: 0 });
    expect((await shop.get(`/checkouts/${id}`)).body).toMatchObject({ status: 'open', events: 0 });
  });

  test('of limits is a conflict with what is in the session', async () => {
    const { shop, open } = await startShop({ limits: { maxSessionEvents: 1 } });
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 });
    const answer = await shop.post(`/checkouts/${id}/items`, { sku: 'cup', quantity: 1 });
    expect(answer).toMatchObject({ status: 409, body: { code: 'SESSION_LIMIT_EXCEEDED', limit: 1 } });
  });

  test('of a commit under way says when to ask again', async () => {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const { promise: begun, resolve: begins } = withResolvers();
    const publisher = memoryPublisher({
      onPublish: () => {
        begins();
        return held;
      },
    });
    const { shop, open } = await startShop({ publisher });
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 });
    const first = shop.post(`/checkouts/${id}/commit`);
    await begun;
    const second = await shop.post(`/checkouts/${id}/commit`);
    letGo();
    expect(second).toMatchObject({ status: 409, body: { code: 'COMMIT_IN_PROGRESS' } });
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await first).status).toBe(200);
  });

  test('of ours is logged, and keeps what is internal to itself', async () => {
    const down = new EventSessionsError('STORE_UNAVAILABLE', 'Redis at 10.0.0.7 is away', {
      outcome: 'not_done',
    });
    const store = {
      ...memoryStore(),
      get: async () => {
        throw down;
      },
    };
    const { shop, logged } = await startShop({ store });
    const { status, headers, body } = await shop.get('/checkouts/o-1');
    expect([status, body.code]).toEqual([503, 'STORE_UNAVAILABLE']);
    expect(headers.get('retry-after')).toBe('5');
    expect(JSON.stringify(body)).not.toContain('10.0.0.7');
    expect(logged).toMatchObject([{ code: 'STORE_UNAVAILABLE' }]);
  });

  test('that nobody foresaw is a 500 without its message', async () => {
    const { shop, logged, sessions } = await startShop();
    const broken = new TypeError('cannot read internals');
    sessions.health = () => Promise.reject(broken);
    const { status, body } = await shop.get('/health');
    expect(status).toBe(500);
    expect(body).toMatchObject({ title: 'Internal Server Error', status: 500, code: 'INTERNAL_ERROR' });
    expect(JSON.stringify(body)).not.toContain('internals');
    expect(logged).toEqual([broken]);
  });
});

describe('an outage', () => {
  test('of the broker at a commit is a 202 that says what is deferred', async () => {
    const publisher = memoryPublisher({
      onPublish: () => {
        throw new Error('no broker');
      },
    });
    const { shop, open } = await startShop({ publisher, commit: { retries: 0 } });
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 });
    expect(await shop.post(`/checkouts/${id}/commit`)).toMatchObject({
      status: 202,
      body: { status: 'committed', published: 0, deferred: 1 },
    });
  });

  test('of the store lets the checkouts that this instance knows go on', async () => {
    const down = async () => {
      throw new EventSessionsError('STORE_UNAVAILABLE', 'away', { outcome: 'not_done' });
    };
    const store = { ...memoryStore() };
    const { shop, open, sessions, publisher } = await startShop({ store });
    const working = { ...store };
    const id = await open();
    Object.assign(store, { start: down, append: down, beginCommit: down, get: down, ping: down });

    expect(await shop.post('/checkouts')).toMatchObject({ status: 202, body: { deferred: true } });
    expect(await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 1 })).toMatchObject({
      status: 202,
      body: { deferred: true },
    });
    expect(await shop.post(`/checkouts/${id}/commit`)).toMatchObject({
      status: 202,
      body: { status: 'committing' },
    });
    expect(await shop.get('/health')).toMatchObject({
      status: 200,
      body: { status: 'degraded', store: 'down', publisher: 'up', contingency: 'up' },
    });
    expect((await shop.get(`/checkouts/${id}`)).status).toBe(503);

    Object.assign(store, working);
    expect(await sessions.recover()).toMatchObject({ published: 1, remaining: 0 });
    expect(publisher.published).toHaveLength(1);
  });
});

describe('the routes of the library', () => {
  test('show users the events and the history of their own checkouts, and nothing else', async () => {
    const { shop, other, nobody, open } = await startShop();
    const id = await open();
    await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 2 });
    expect(await shop.get(`/events/sessions/${id}/events`)).toMatchObject({
      status: 200,
      body: { events: [{ type: 'item.added', data: { sku: 'tea', quantity: 2 } }] },
    });
    expect((await shop.get(`/events/sessions/${id}`)).body.history).toHaveLength(1);
    expect((await other.get(`/events/sessions/${id}`)).status).toBe(404);
    const unknown = await nobody.get(`/events/sessions/${id}`);
    expect(unknown).toMatchObject({ status: 401, body: { title: 'Unauthorized' } });
    expect(unknown.headers.get('www-authenticate')).toBe('Bearer');
    expect((await shop.post(`/events/sessions/${id}/commit`)).status).toBe(403);
    expect((await shop.post('/events/sessions', { sessionId: 'mine' })).status).toBe(403);
    expect((await shop.get('/events/sessions')).status).toBe(403);
    expect((await shop.get('/events/metrics')).status).toBe(403);
  });

  test('are open to operators, with the metrics for Prometheus', async () => {
    const { url, open } = await startShop();
    const id = await open();
    const ask = (path: string, token: string) =>
      fetch(`${url}/events${path}`, { headers: { authorization: `Bearer ${token}` } });
    expect((await ask('/metrics', 'a-guess')).status).toBe(401);
    const metrics = await ask('/metrics', OPERATOR_TOKEN);
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    expect(await metrics.text()).toContain('event_sessions_started_total 1');
    expect(await (await ask('/sessions?status=open', OPERATOR_TOKEN)).json()).toMatchObject({
      sessions: [{ sessionId: id }],
    });
  });
});

function withResolvers() {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

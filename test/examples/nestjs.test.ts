import { type INestApplication, type LoggerService, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  type EventSessions,
  EventSessionsError,
  type EventSessionsOptions,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { afterEach, describe, expect, test } from 'vitest';
import { EVENT_SESSIONS, EventSessionsModule } from '../../examples/nestjs/event-sessions.module.js';
import { EventsModule } from '../../examples/nestjs/events.module.js';
import { orderEvents } from '../../examples/nestjs/order-events.js';
import { shopClient } from './shop-client.js';

const closing: INestApplication[] = [];
afterEach(async () => {
  for (const app of closing.splice(0)) await app.close();
});

@Module({})
class TestModule {}

async function startService(options: EventSessionsOptions = {}) {
  const publisher = memoryPublisher();
  const logged: unknown[] = [];
  const quiet = () => {};
  const logger: LoggerService = { log: quiet, warn: quiet, error: (...all) => logged.push(...all) };
  const sessionsModule = EventSessionsModule.forRoot({
    publisher,
    recovery: false,
    logger: false,
    ...options,
    events: orderEvents,
  });
  const app = await NestFactory.create(
    { module: TestModule, imports: [sessionsModule, EventsModule] },
    { logger, abortOnError: false },
  );
  closing.push(app);
  await app.listen(0, '127.0.0.1');
  const http = shopClient(await app.getUrl(), undefined);
  const start = async () => (await http.post('/sessions')).body.sessionId as string;
  return {
    app,
    http,
    start,
    publisher,
    logged,
    sessions: app.get<EventSessions<typeof orderEvents>>(EVENT_SESSIONS),
  };
}

const placed = { type: 'order.placed', data: { orderId: 'o-1', total: 4_200 } };

describe('a session', () => {
  test('is started, filled and committed by requests of their own', async () => {
    const { http, publisher } = await startService();
    const started = await http.post('/sessions', { sessionId: 's-1', metadata: { user: 'u-1' } });
    expect(started).toMatchObject({
      status: 201,
      body: { sessionId: 's-1', created: true, deferred: false },
    });
    const added = await http.post('/sessions/s-1/events', { ...placed, id: 'e-1' });
    expect(added).toMatchObject({ status: 201, body: { eventId: 'e-1', duplicate: false, deferred: false } });
    const again = await http.post('/sessions/s-1/events', { ...placed, id: 'e-1' });
    expect(again).toMatchObject({ status: 201, body: { eventId: 'e-1', duplicate: true } });
    expect(await http.get('/sessions/s-1')).toMatchObject({
      status: 200,
      body: { status: 'open', events: 1, published: 0, metadata: { user: 'u-1' } },
    });
    expect(await http.get('/sessions/s-1/events?after=0&limit=10')).toMatchObject({
      status: 200,
      body: { events: [{ id: 'e-1', ...placed, source: '/event-sessions' }] },
    });
    expect(publisher.published).toEqual([]);

    const committed = await http.post('/sessions/s-1/commit', { expectedEvents: 1 });
    expect(committed).toMatchObject({
      status: 200,
      body: { status: 'committed', published: 1, deferred: 0 },
    });
    expect((await http.post('/sessions/s-1/commit')).body).toEqual(committed.body);
    expect(publisher.published).toMatchObject([{ topic: 'order.placed', event: { id: 'e-1', ...placed } }]);
    expect(await http.get('/metrics')).toMatchObject({ status: 200, body: { events: { published: 1 } } });
  });

  test('that is rolled back publishes nothing, and takes nothing any more', async () => {
    const { http, start, publisher } = await startService();
    const id = await start();
    await http.post(`/sessions/${id}/events`, placed);
    expect(await http.post(`/sessions/${id}/rollback`, { reason: 'changed my mind' })).toMatchObject({
      status: 200,
      body: { status: 'rolled_back', discarded: 1 },
    });
    const refused = await http.post(`/sessions/${id}/events`, placed);
    expect(refused.headers.get('content-type')).toMatch('application/problem+json');
    expect(refused.body).toMatchObject({
      title: 'Conflict',
      status: 409,
      code: 'SESSION_NOT_OPEN',
      sessionStatus: 'rolled_back',
    });
    expect((await http.post(`/sessions/${id}/commit`)).status).toBe(409);
    expect(publisher.published).toEqual([]);
  });

  test('in a service of one’s own is typed by the DTOs', async () => {
    const { sessions, publisher } = await startService();
    const { receipt } = await sessions.transaction((session) =>
      session.add('order.placed', { orderId: 'o-1', total: 1 }),
    );
    expect(receipt).toMatchObject({ status: 'committed', published: 1 });
    // @ts-expect-error: it has no total
    const refused = sessions.transaction((session) => session.add('order.placed', { orderId: 'o-2' }));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_EVENT' });
    expect(publisher.published).toHaveLength(1);
  });

  test('goes on in an outage: 202 says that recovery does the rest', async () => {
    const down = async () => {
      throw new EventSessionsError('STORE_UNAVAILABLE', 'Redis at 10.0.0.7 is away', { outcome: 'not_done' });
    };
    const store = { ...memoryStore() };
    const working = { ...store };
    const { http, start, publisher, sessions } = await startService({ store });
    const id = await start();
    Object.assign(store, { start: down, append: down, beginCommit: down, get: down });

    expect((await http.post('/sessions')).status).toBe(202);
    const added = await http.post(`/sessions/${id}/events`, placed);
    expect(added).toMatchObject({ status: 202, body: { deferred: true } });
    const committed = await http.post(`/sessions/${id}/commit`);
    expect(committed).toMatchObject({ status: 202, body: { status: 'committing' } });

    Object.assign(store, working);
    expect(await sessions.recover()).toMatchObject({ published: 1, remaining: 0 });
    expect(publisher.published).toHaveLength(1);
  });

  test('owed to the broker is a 202 that says so', async () => {
    const publisher = memoryPublisher({
      onPublish: () => {
        throw new Error('no broker');
      },
    });
    const { http, start } = await startService({ publisher, commit: { retries: 0 } });
    const id = await start();
    await http.post(`/sessions/${id}/events`, placed);
    expect(await http.post(`/sessions/${id}/commit`)).toMatchObject({
      status: 202,
      body: { status: 'committed', published: 0, deferred: 1 },
    });
    // A question about it is answered as any other.
    expect((await http.get(`/sessions/${id}`)).status).toBe(200);
  });
});

describe('a problem', () => {
  test('of a body that does not fit its DTO is a 400 that names each thing', async () => {
    const { http, start } = await startService();
    const id = await start();
    const answer = await http.post(`/sessions/${id}/events`, {
      data: placed.data,
      id: 'not an id',
      topic: 'x',
    });
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
    expect(answer.body).toEqual({
      title: 'Bad Request',
      status: 400,
      detail: 'The body is not valid.',
      issues: expect.arrayContaining([
        { path: 'topic', message: 'property topic should not exist' },
        { path: 'type', message: 'type must be a string' },
        { path: 'id', message: 'id must have 1 to 128 characters A-Z a-z 0-9 _ -' },
      ]),
    });
  });

  test('of data that does not fit the DTO of its type is a 400, too', async () => {
    const { http, start } = await startService();
    const id = await start();
    const add = (data: unknown) => http.post(`/sessions/${id}/events`, { type: 'order.placed', data });
    const wrong = await add({ orderId: '', total: 1.5, vip: true });
    expect(wrong).toMatchObject({ status: 400, body: { code: 'INVALID_EVENT' } });
    expect(wrong.body.issues).toEqual([
      { path: 'vip', message: 'property vip should not exist' },
      { path: 'orderId', message: 'orderId must be longer than or equal to 1 characters' },
      { path: 'total', message: 'total must be an integer number' },
    ]);
    for (const data of [
      'text',
      1,
      [],
      [placed.data],
      JSON.parse('{ "__proto__": { "orderId": "o-1", "total": 1 } }'),
    ]) {
      expect(await add(data)).toMatchObject({ status: 400, body: { code: 'INVALID_EVENT' } });
    }
    expect((await http.get(`/sessions/${id}`)).body.events).toBe(0);
  });

  test('with the request keeps the status of whoever found it', async () => {
    const { http, start } = await startService({ publisher: memoryPublisher({ maxEventBytes: 300 }) });
    const id = await start();
    const events = `/sessions/${id}/events`;
    const deep = `${'['.repeat(45_000)}${']'.repeat(45_000)}`;
    const answers = [
      await http.post(events, '{ "type": '),
      await http.post(events, `"${'x'.repeat(200_000)}"`),
      await http.post(events, '[]'),
      await http.post(events, 'null'),
      await http.post(events, `{ "type": "order.placed", "data": ${deep} }`),
      await http.post(events, { type: 'order.lost', data: {} }),
      await http.post(events, { type: 'order.cancelled', data: { orderId: 'o-1', reason: 'x'.repeat(200) } }),
      await http.post(`/sessions/${id}/commit`, { expectedEvents: 5 }),
      await http.post(`/sessions/${id}/commit`, { expectedEvents: 'five' }),
      await http.get('/sessions/no-such-session'),
      await http.get('/sessions/not%20an%20id'),
      await http.get('/sessions/%ff'),
      await http.get(`${events}?limit=many`),
      await http.get(`${events}?limit=0`),
      await http.get('/nowhere'),
    ];
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual([
      [400, undefined],
      [413, undefined],
      [400, undefined],
      [400, undefined],
      [400, undefined],
      [400, 'UNKNOWN_EVENT_TYPE'],
      [413, 'EVENT_TOO_LARGE'],
      [409, 'EXPECTED_EVENTS_MISMATCH'],
      [400, undefined],
      [404, 'SESSION_NOT_FOUND'],
      [400, 'INVALID_INPUT'],
      [400, undefined],
      [400, undefined],
      [400, 'INVALID_INPUT'],
      [404, undefined],
    ]);
    for (const { headers } of answers)
      expect(headers.get('content-type')).toMatch('application/problem+json');
    expect((await http.get(`/sessions/${id}`)).body).toMatchObject({ status: 'open', events: 0 });
  });

  test('of ours is logged, and keeps what is internal to itself', async () => {
    const store = { ...memoryStore() };
    const { http, start, logged, sessions } = await startService({ store });
    const id = await start();
    store.get = async () => {
      throw new EventSessionsError('STORE_UNAVAILABLE', 'Redis at 10.0.0.7 is away', { outcome: 'not_done' });
    };
    const { status, headers, body } = await http.get(`/sessions/${id}`);
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'STORE_UNAVAILABLE', '5']);
    expect(JSON.stringify(body)).not.toContain('10.0.0.7');

    Object.assign(sessions.queries, {
      getMetrics: () => Promise.reject(new TypeError('cannot read internals')),
    });
    const unforeseen = (await http.get('/metrics')).body;
    expect(unforeseen).toMatchObject({ title: 'Internal Server Error', status: 500, code: 'INTERNAL_ERROR' });
    expect(JSON.stringify(unforeseen)).not.toContain('internals');
    expect(String(logged)).toContain('10.0.0.7');
    expect(String(logged)).toContain('cannot read internals');
  });
});

describe('the module', () => {
  test('closes the sessions behind the HTTP server, which answers the request under way first', async () => {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let begins = () => {};
    const begun = new Promise<void>((resolve) => {
      begins = resolve;
    });
    const onPublish = () => {
      begins();
      return held;
    };
    const { http, start, app, sessions } = await startService({ publisher: memoryPublisher({ onPublish }) });
    const id = await start();
    await http.post(`/sessions/${id}/events`, placed);
    const commit = http.post(`/sessions/${id}/commit`);
    await begun;

    const closed = app.close();
    // Not yet: the commit is under way.
    await expect(sessions.session(id).status()).resolves.toMatchObject({ status: 'committing' });
    letGo();
    expect(await commit).toMatchObject({ status: 200, body: { status: 'committed', published: 1 } });
    app.getHttpServer().closeIdleConnections();
    await closed;
    await expect(sessions.startSession()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('fails at the start on a wrong option, and says what is wrong', async () => {
    const options = { ttl: -1 };
    await expect(startService(options)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: 'ttl' }],
    });
  });
});

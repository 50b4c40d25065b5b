import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CloudEvent } from 'event-sessions';
import { afterEach, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { consume } from '../support/nsqd.js';
import { describeWithAll } from '../support/services.js';
import { type RunningExample, startExample } from './run-example.js';
import { address, type ShopClient, shopClient } from './shop-client.js';

const running: RunningExample[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) {
    server.signal('SIGKILL');
    await server.ended;
  }
});

async function startServer(env: Record<string, string>) {
  const server = startExample('express/server.ts', [], { PORT: '0', ...env });
  running.push(server);
  const [, url = ''] = await server.printed(/listens on (\S+)\n/);
  return { server, url, shop: shopClient(url, 'u-1') };
}

async function fill(shop: ShopClient, id: string) {
  await shop.post(`/checkouts/${id}/items`, { sku: 'tea', quantity: 2 });
  await shop.post(`/checkouts/${id}/address`, address);
  await shop.post(`/checkouts/${id}/payment`, { method: 'card' });
}

test('without servers it says what is in memory, works, and ends cleanly on SIGINT', async () => {
  const env = { REDIS_URL: '', NSQD: '', CONTINGENCY_LOG: '' };
  const { server, shop } = await startServer(env);
  const { id } = (await shop.post('/checkouts')).body;
  await fill(shop, id);
  expect((await shop.post(`/checkouts/${id}/commit`, { expectedEvents: 3 })).status).toBe(200);

  server.signal('SIGINT');
  const { code, stdout, stderr } = await server.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('Not set: REDIS_URL, NSQD, CONTINGENCY_LOG. Kept in memory instead');
  expect(stdout).toMatch(/SIGINT: finishing what is under way\nClosed\n$/);
});

test('a connection that never brings a request does not keep it from closing its sessions', async () => {
  const { server, url } = await startServer({ REDIS_URL: '', NSQD: '', CONTINGENCY_LOG: '' });
  const { hostname, port } = new URL(url);
  const silent = connect(Number(port), hostname).resume();
  // One that has been answered shows that the one before has arrived.
  expect((await fetch(`${url}/health`)).status).toBe(200);
  server.signal('SIGTERM');
  await once(silent, 'close');
  expect(await server.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/Closed\n$/) });
});

test('a request under way when it is told to end still gets its answer', async () => {
  const { server, url, shop } = await startServer({ REDIS_URL: '', NSQD: '', CONTINGENCY_LOG: '' });
  const { id } = (await shop.post('/checkouts')).body;
  const slow = request(`${url}/checkouts/${id}/items`, {
    method: 'POST',
    headers: { 'x-user': 'u-1', 'content-type': 'application/json', expect: '100-continue' },
  });
  slow.flushHeaders();
  // The server has the head of the request, and waits for its body.
  await once(slow, 'continue');

  server.signal('SIGTERM');
  await server.printed(/finishing what is under way/);
  slow.end(JSON.stringify({ sku: 'tea', quantity: 1 }));
  const [response] = await once(slow, 'response');
  response.resume();
  expect(response.statusCode).toBe(201);
  expect(await server.ended).toMatchObject({ code: 0, stderr: '' });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('two instances share a checkout; SIGTERM ends each with exit code 0', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'event-sessions-shop-'));
    try {
      const topic = `shop-${newId()}`;
      const env = {
        REDIS_URL: redis.url,
        REDIS_PREFIX: topic,
        NSQD: nsqd.tcp,
        TOPIC: topic,
        CONTINGENCY_LOG: join(folder, 'contingency-log.jsonl'),
      };
      const [one, two] = await Promise.all([startServer(env), startServer(env)]);

      const { id } = (await one.shop.post('/checkouts')).body;
      await fill(two.shop, id);
      const abandoned = (await two.shop.post('/checkouts')).body.id;
      await one.shop.post(`/checkouts/${abandoned}/items`, { sku: 'cup', quantity: 1 });
      expect((await one.shop.post(`/checkouts/${abandoned}/rollback`)).status).toBe(200);
      const committed = await one.shop.post(`/checkouts/${id}/commit`, { expectedEvents: 3 });
      expect(committed).toMatchObject({ status: 200, body: { status: 'committed', published: 3 } });
      expect((await two.shop.post(`/checkouts/${id}/commit`)).body).toEqual(committed.body);

      for (const { server } of [one, two]) server.signal('SIGTERM');
      for (const { server } of [one, two]) {
        const { code, stdout, stderr } = await server.ended;
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        expect(stdout).toMatch(/Closed\n$/);
      }

      const messages = await consume(nsqd.tcp, topic, { count: 3 });
      const events = messages.map((body): CloudEvent => JSON.parse(body));
      events.sort((a, b) => a.sequence.localeCompare(b.sequence));
      expect(events.map(({ type, sessionid }) => [type, sessionid])).toEqual([
        ['item.added', id],
        ['address.given', id],
        ['payment.chosen', id],
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventSessionsRouter } from 'event-sessions/express';
import express, { type Express } from 'express';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, TOPIC, TYPE } from '../by-hand/envelope.js';
import { countsOf } from '../by-hand/nsqd-counts.js';
import { mpub, rawNsqd } from '../by-hand/raw-nsqd.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';
import { sessionsOn } from '../harness/sessions.js';

const GOALS = { add: 0.5, commit: 0.3 };
const AT_ONCE = 32;

/**
 * A request for each event, and a request for each session of one event. Client and server share this process, so what the
 * client costs is on both sides.
 */
export const http: Bench = {
  name: 'http',
  about: `adds and commits over HTTP, ${AT_ONCE} requests at once, against a bare Express handler`,
  inCheck: false,
  async run(context) {
    const { redis, nsqd, report, sizes } = context;
    const client = new Redis(redis.url);
    const raw = await rawNsqd(nsqd.tcp);
    const sessions = sessionsOn({ nsqd }, client);
    const ours = await load(express().use(eventSessionsRouter(sessions)));
    const byHand = express().use(express.json());
    byHand.post('/sessions/:id/events', async ({ params, body }, response) => {
      const id = eventId();
      await client.rpush(params.id, envelope(id, params.id, body.data));
      response.json({ eventId: id });
    });
    byHand.post('/sessions/:id/commit', async ({ params }, response) => {
      const events = await client.lrangeBuffer(params.id, 0, -1);
      await raw.send(mpub(TOPIC, events));
      response.json({ published: events.length });
    });
    const theirs = await load(byHand);

    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const body = JSON.stringify({ type: TYPE, data });
      const count = countFor(context, eventBytes, 5_000);

      let id = '';
      const adds = (name: string, { post }: Load, verify: () => Promise<number>): Side => ({
        name,
        prepare: async () => {
          id = (await sessions.startSession()).id;
        },
        run: () =>
          post(
            Array.from({ length: count }, () => `/sessions/${id}/events`),
            body,
          ),
        async verify() {
          expectCount(await verify(), count);
          await client.flushall();
        },
      });
      report(
        await compare(
          {
            bench: 'http',
            title: 'add over HTTP',
            eventBytes,
            goal: GOALS.add,
            ours: adds('eventSessionsRouter', ours, async () => (await sessions.session(id).status()).events),
            theirs: adds('express.json() + RPUSH', theirs, () => client.llen(id)),
          },
          context,
        ),
      );

      let ids: readonly string[] = [];
      let before = 0;
      const messages = async () => (await countsOf(nsqd.http, TOPIC)).messages;
      const commits = (name: string, { post }: Load, fill: (id: string) => Promise<unknown>): Side => ({
        name,
        async prepare() {
          ids = Array.from({ length: count }, eventId);
          await Promise.all(ids.map(fill));
          before = await messages();
        },
        run: () => post(ids.map((id) => `/sessions/${id}/commit`)),
        async verify() {
          expectCount((await messages()) - before, count);
          await client.flushall();
        },
      });
      report(
        await compare(
          {
            bench: 'http',
            title: 'commit of one event over HTTP',
            eventBytes,
            goal: GOALS.commit,
            ours: commits('eventSessionsRouter', ours, async (sessionId) => {
              await sessions.startSession({ sessionId });
              await sessions.session(sessionId).add(TYPE, data);
            }),
            theirs: commits('LRANGE + raw MPUB', theirs, (key) =>
              client.rpush(key, envelope(eventId(), key, data, 1)),
            ),
          },
          context,
        ),
      );
    }
    ours.close();
    theirs.close();
    raw.close();
    await sessions.close();
    client.disconnect();
  },
};

interface Load {
  /** A POST to each path, over connections that are kept alive. Answers how many. */
  post(paths: readonly string[], body?: string): Promise<number>;
  close(): void;
}

async function load(app: Express): Promise<Load> {
  // A side that waits for its turn keeps its connections: one that was just then closed would fail a request.
  const server: Server = createServer({ keepAliveTimeout: 0 }, app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

  function send(path: string, body: string): Promise<void> {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      request({ agent, host: '127.0.0.1', port, method: 'POST', path, headers }, (response) => {
        const { statusCode } = response;
        response.resume().on('error', reject);
        response.on('end', () =>
          statusCode === 200 ? resolve() : reject(new Error(`answered ${statusCode}`)),
        );
      })
        .on('error', reject)
        .end(body);
    });
  }

  return {
    async post(paths, body = '{}') {
      const left = paths.values();
      const worker = async () => {
        for (const path of left) await send(path, body);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      return paths.length;
    },
    close() {
      agent.destroy();
      server.close();
    },
  };
}

import { createEventSessions } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, SOURCE, TYPE } from '../by-hand/envelope.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

const GOAL = 1.3;
const AT_ONCE = 1_000;

/** 1,000 adds under way at once, over one session and over a hundred. */
export const addConcurrent: Bench = {
  name: 'add-concurrent',
  about: '1,000 adds at once on 1 and on 100 sessions, against a pipeline of SADD and RPUSH an event',
  inCheck: true,
  async run(context) {
    const { redis, report, sizes } = context;
    const client = new Redis(redis.url);
    const sessions = createEventSessions({
      source: SOURCE,
      store: redisStore({ client }),
      recovery: false,
      limits: { maxSessionBytes: 2 ** 31 },
    });
    for (const over of [1, 100]) {
      for (const eventBytes of sizes) {
        const data = await dataOfSize(eventBytes);
        const times = Math.max(1, Math.round(countFor(context, eventBytes, 20_000) / AT_ONCE));
        const count = times * AT_ONCE;
        let ids: string[] = [];
        let handles: ReturnType<typeof sessions.session>[] = [];
        const theirs = {
          name: 'pipeline of SADD + RPUSH',
          prepare: async () => {
            ids = Array.from({ length: over }, eventId);
          },
          async run() {
            for (let time = 0; time < times; time += 1) {
              const pipeline = client.pipeline();
              for (let i = 0; i < AT_ONCE; i += 1) {
                const id = ids[i % over] as string;
                const event = eventId();
                pipeline.sadd(`{${id}}:ids`, event);
                pipeline.rpush(`{${id}}:events`, envelope(event, id, data));
              }
              for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
            }
            return count;
          },
          async verify() {
            expectCount(await client.llen(`{${ids[0]}}:events`), count / over);
            await client.flushall();
          },
        };
        const ours = {
          name: 'session.add, not awaited one by one',
          prepare: async () => {
            handles = await Promise.all(Array.from({ length: over }, () => sessions.startSession()));
          },
          async run() {
            for (let time = 0; time < times; time += 1) {
              const adds = [];
              for (let i = 0; i < AT_ONCE; i += 1) adds.push(handles[i % over]?.add(TYPE, data));
              await Promise.all(adds);
            }
            return count;
          },
          async verify() {
            expectCount((await handles[0]?.status())?.events ?? 0, count / over);
            await client.flushall();
          },
        };
        const title = `1,000 adds at once on ${over === 1 ? 'one session' : `${over} sessions`}`;
        report(
          await compare({ bench: 'add-concurrent', title, eventBytes, goal: GOAL, ours, theirs }, context),
        );
      }
    }
    await sessions.close();
    client.disconnect();
  },
};

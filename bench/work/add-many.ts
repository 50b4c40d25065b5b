import { Queue } from 'bullmq';
import { createEventSessions } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, SOURCE, TYPE } from '../by-hand/envelope.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

const AT_ONCE = 1_000;

/** `addMany` of 1,000 events, call after call. */
export const addMany: Bench = {
  name: 'add-many',
  about: 'addMany of 1,000, against one variadic SADD and RPUSH, and against addBulk of BullMQ',
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
    const queue = new Queue('bench', {
      connection: { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null },
    });
    await queue.waitUntilReady();
    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const times = Math.max(1, Math.round(countFor(context, eventBytes, 20_000) / AT_ONCE));
      const count = times * AT_ONCE;
      let id = '';
      let session = sessions.session('none');
      const ours: Side = {
        name: 'session.addMany',
        prepare: async () => {
          session = await sessions.startSession();
        },
        async run() {
          for (let time = 0; time < times; time += 1) {
            const events = [];
            for (let i = 0; i < AT_ONCE; i += 1) events.push({ type: TYPE, data });
            await session.addMany(events);
          }
          return count;
        },
        async verify() {
          expectCount((await session.status()).events, count);
          await client.flushall();
        },
      };
      const byHand: Side = {
        name: 'variadic SADD + RPUSH',
        prepare: async () => {
          id = eventId();
        },
        async run() {
          for (let time = 0; time < times; time += 1) {
            const ids: string[] = [];
            const events: string[] = [];
            for (let i = 0; i < AT_ONCE; i += 1) {
              const event = eventId();
              ids.push(event);
              events.push(envelope(event, id, data));
            }
            const replies = await client
              .pipeline()
              .sadd(`{${id}}:ids`, ids)
              .rpush(`{${id}}:events`, ...events)
              .exec();
            for (const [error] of replies ?? []) if (error !== null) throw error;
          }
          return count;
        },
        async verify() {
          expectCount(await client.llen(`{${id}}:events`), count);
          await client.flushall();
        },
      };
      const bullmq: Side = {
        name: 'BullMQ addBulk',
        prepare: () => queue.waitUntilReady(),
        async run() {
          for (let time = 0; time < times; time += 1) {
            const jobs = [];
            for (let i = 0; i < AT_ONCE; i += 1) {
              const event = eventId();
              const opts = { jobId: event };
              jobs.push({ name: TYPE, data: JSON.parse(envelope(event, 'bench', data)), opts });
            }
            await queue.addBulk(jobs);
          }
          return count;
        },
        async verify() {
          expectCount(await queue.getWaitingCount(), count);
          await client.flushall();
        },
      };
      const common = { bench: 'add-many', eventBytes, ours };
      report(await compare({ ...common, title: 'addMany of 1,000', goal: 1, theirs: byHand }, context));
      report(
        await compare(
          { ...common, title: 'addMany of 1,000 against BullMQ', goal: 4, theirs: bullmq },
          context,
        ),
      );
    }
    await queue.close();
    await sessions.close();
    client.disconnect();
  },
};

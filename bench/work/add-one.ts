import { createEventSessions } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, SOURCE, TYPE } from '../by-hand/envelope.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

const GOAL = 0.9;

/** One add after the other, each awaited. Both sides make the envelope from the same data. */
export const addOne: Bench = {
  name: 'add-one',
  about: 'one add at a time, against one RPUSH at a time',
  inCheck: false,
  async run(context) {
    const { redis, report, sizes } = context;
    const client = new Redis(redis.url);
    const sessions = createEventSessions({
      source: SOURCE,
      store: redisStore({ client }),
      recovery: false,
      limits: { maxSessionBytes: 2 ** 31 },
    });
    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const count = countFor(context, eventBytes, 4_000);
      let id = '';
      let session = sessions.session('none');
      const theirs = {
        name: 'RPUSH',
        prepare: async () => {
          id = eventId();
        },
        async run() {
          for (let i = 0; i < count; i += 1) await client.rpush(id, envelope(eventId(), id, data));
          return count;
        },
        async verify() {
          expectCount(await client.llen(id), count);
          await client.del(id);
        },
      };
      const ours = {
        name: 'session.add',
        prepare: async () => {
          session = await sessions.startSession();
        },
        async run() {
          for (let i = 0; i < count; i += 1) await session.add(TYPE, data);
          return count;
        },
        async verify() {
          expectCount((await session.status()).events, count);
          await client.flushall();
        },
      };
      report(
        await compare(
          { bench: 'add-one', title: 'one add at a time', eventBytes, goal: GOAL, ours, theirs },
          context,
        ),
      );
    }
    await sessions.close();
    client.disconnect();
  },
};

import type { Session } from 'event-sessions';
import { Redis } from 'ioredis';
import nsqjs from 'nsqjs';
import { type Data, dataOfSize, envelope, eventId, TOPIC, TYPE } from '../by-hand/envelope.js';
import { countsOf } from '../by-hand/nsqd-counts.js';
import { batchOf, IN_FLIGHT, mpub, rawNsqd } from '../by-hand/raw-nsqd.js';
import { type Bench, type BenchContext, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectAbout, expectCount } from '../harness/expect.js';
import { sessionsOn } from '../harness/sessions.js';

/**
 * A session of 100,000 events from Redis to nsqd. The list of those who do it by hand already holds what goes on the
 * wire, `sequence` included; the library puts it in on the way. nsqd tells how many bytes it got from each.
 */
export const commit: Bench = {
  name: 'commit',
  about:
    'commit of 100,000 events, against LRANGE and MPUB on a raw socket, and against one publish an event',
  inCheck: true,
  async run(context) {
    const { redis, nsqd, report, sizes } = context;
    const client = new Redis(redis.url);
    const sessions = sessionsOn({ nsqd }, client, {
      commit: { inFlight: IN_FLIGHT },
      limits: { maxSessionBytes: 2 ** 31 },
    });
    const raw = await rawNsqd(nsqd.tcp);
    const writer = new nsqjs.Writer(nsqd.tcp.split(':')[0] ?? '', Number(nsqd.tcp.split(':')[1]));
    writer.connect();
    await new Promise<void>((resolve) => writer.on('ready', resolve));

    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const count = countFor(context, eventBytes, 100_000);
      const bytes = { ours: 0, theirs: 0 };
      let session = sessions.session('none');
      let key = '';
      const ours: Side = metered(context, (grown) => (bytes.ours = grown), count, {
        name: 'session.commit',
        prepare: async () => {
          session = await filledSession(sessions.startSession(), data, count);
        },
        run: async () => (await session.commit()).published,
      });
      const byHand: Side = metered(context, (grown) => (bytes.theirs = grown), count, {
        name: `LRANGE pages + raw MPUB, ${IN_FLIGHT} in flight`,
        prepare: async () => {
          key = await filledList(client, data, count);
        },
        async run() {
          const inFlight: Promise<void>[] = [];
          const batch = batchOf(eventBytes);
          let next = client.lrangeBuffer(key, 0, batch - 1);
          for (let from = 0; from < count; from += batch) {
            const page = await next;
            if (from + batch < count) next = client.lrangeBuffer(key, from + batch, from + 2 * batch - 1);
            inFlight.push(raw.send(mpub(TOPIC, page)));
            if (inFlight.length >= IN_FLIGHT) await inFlight.shift();
          }
          await Promise.all(inFlight);
          return count;
        },
      });
      const naive: Side = metered(context, () => {}, count, {
        name: 'LRANGE all, JSON.parse, one publish an event (nsqjs)',
        prepare: async () => {
          key = await filledList(client, data, count);
        },
        async run() {
          const all = await client.lrange(key, 0, -1);
          for (const text of all) {
            const event = JSON.parse(text) as Record<string, unknown>;
            await new Promise<void>((resolve, reject) => {
              writer.publish(TOPIC, JSON.stringify(event), (error) => (error ? reject(error) : resolve()));
            });
          }
          return count;
        },
      });
      const common = { bench: 'commit', eventBytes, ours };
      report(await compare({ ...common, title: 'commit of 100,000', goal: 0.9, theirs: byHand }, context));
      expectAbout(bytes.ours, bytes.theirs, 'commit');
      const fewer = { ...context, rounds: Math.min(context.rounds, 3) };
      report(
        await compare(
          { ...common, title: 'commit of 100,000 against the naive', goal: 8, theirs: naive },
          fewer,
        ),
      );
    }
    writer.on('error', () => {});
    writer.close();
    raw.close();
    await sessions.close();
    client.disconnect();
  },
};

async function filledSession(starting: Promise<Session>, data: Data, count: number): Promise<Session> {
  const session = await starting;
  for (let from = 0; from < count; from += 1_000) {
    const events = Array.from({ length: Math.min(1_000, count - from) }, () => ({ type: TYPE, data }));
    await session.addMany(events);
  }
  return session;
}

async function filledList(client: Redis, data: Data, count: number): Promise<string> {
  const id = eventId();
  for (let from = 0; from < count; from += 1_000) {
    const events = Array.from({ length: Math.min(1_000, count - from) }, (_, i) =>
      envelope(eventId(), id, data, from + i + 1),
    );
    await client.rpush(id, ...events);
  }
  return id;
}

/** nsqd must have got as many messages as the side says. */
function metered(context: BenchContext, bytes: (grown: number) => void, count: number, side: Side): Side {
  let before = { messages: 0, bytes: 0 };
  const { redis, nsqd } = context;
  return {
    ...side,
    async prepare() {
      await side.prepare?.();
      before = await countsOf(nsqd.http, TOPIC);
    },
    async verify() {
      const after = await countsOf(nsqd.http, TOPIC);
      expectCount(after.messages - before.messages, count);
      bytes(after.bytes - before.bytes);
      const client = new Redis(redis.url);
      await client.flushall();
      client.disconnect();
    },
  };
}

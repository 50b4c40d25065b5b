/**
 * A first rate of add and commit, next to what one would write by hand on the same servers, in one run. Every side
 * takes its turn in every round; what counts is the ratio of the medians, not the rate on this machine.
 *
 *   npm run bench            a table
 *   npm run bench -- --json  one object
 */
import { createEventSessions } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import nsqjs from 'nsqjs';
import { startNsqd } from '../test/support/nsqd.js';
import { startRedis } from '../test/support/redis.js';

const ROUNDS = 5;
const json = process.argv.includes('--json');

const redis = await startRedis();
const nsqd = await startNsqd();
const client = new Redis(redis.url);
const sessions = createEventSessions({
  store: redisStore({ client }),
  publisher: nsqPublisher({ nsqd: nsqd.tcp }),
  recovery: false,
});
const [host, port] = nsqd.tcp.split(':');
const writer = new nsqjs.Writer(host ?? '', Number(port));
writer.connect();
await new Promise<void>((resolve) => writer.on('ready', resolve));

const data = { orderId: 'o-1', total: 42, note: 'x'.repeat(60) };
const topic = 'bench#ephemeral';
let bodies: string[] = [];
let lists = 0;

interface Side {
  readonly name: string;
  /** Untimed. */
  readonly prepare?: () => Promise<unknown>;
  /** Resolves with how many events it has dealt with. */
  readonly run: () => Promise<number>;
}

const comparisons: { title: string; ours: Side; byHand: Side }[] = [
  {
    title: 'one add at a time',
    ours: {
      name: 'session.add',
      async run() {
        const session = await sessions.startSession();
        for (let i = 0; i < 2_000; i += 1) await session.add('bench', data, { topic });
        return 2_000;
      },
    },
    byHand: {
      name: 'RPUSH',
      async run() {
        lists += 1;
        for (let i = 0; i < 2_000; i += 1) await client.rpush(`list:${lists}`, bodies[i] as string);
        return 2_000;
      },
    },
  },
  {
    title: 'adds of 1,000 events together',
    ours: {
      name: 'session.addMany',
      async run() {
        const session = await sessions.startSession();
        for (let call = 0; call < 10; call += 1) {
          await session.addMany(Array.from({ length: 1_000 }, () => ({ type: 'bench', data, topic })));
        }
        return 10_000;
      },
    },
    byHand: {
      name: 'variadic RPUSH + SADD',
      async run() {
        lists += 1;
        for (let call = 0; call < 10; call += 1) {
          const part = bodies.slice(call * 1_000, (call + 1) * 1_000);
          const ids = part.map((_, i) => `${lists}-${call}-${i}`);
          await client
            .pipeline()
            .rpush(`list:${lists}`, ...part)
            .sadd(`set:${lists}`, ...ids)
            .exec();
        }
        return 10_000;
      },
    },
  },
  {
    title: 'commit of 20,000 events',
    ours: await (async () => {
      let session = await sessions.startSession();
      return {
        name: 'session.commit',
        async prepare() {
          session = await sessions.startSession();
          for (let call = 0; call < 4; call += 1) {
            await session.addMany(Array.from({ length: 5_000 }, () => ({ type: 'bench', data, topic })));
          }
        },
        run: async () => (await session.commit()).published,
      };
    })(),
    byHand: {
      name: 'LRANGE pages + MPUB (nsqjs)',
      async prepare() {
        lists += 1;
        for (let call = 0; call < 4; call += 1)
          await client.rpush(`list:${lists}`, ...bodies.slice(call * 5_000, (call + 1) * 5_000));
      },
      async run() {
        const inFlight: Promise<void>[] = [];
        for (let from = 0; from < 20_000; from += 500) {
          const page = await client.lrange(`list:${lists}`, from, from + 499);
          inFlight.push(
            new Promise((resolve, reject) => {
              writer.publish(topic, page, (error) => (error ? reject(error) : resolve()));
            }),
          );
          if (inFlight.length >= 4) await inFlight.shift();
        }
        await Promise.all(inFlight);
        return 20_000;
      },
    },
  },
];

const sample = await sessions.startSession();
await sample.add('bench', data, { topic });
const [example] = (await sample.events()).events;
bodies = Array.from({ length: 20_000 }, () => JSON.stringify(example));

async function rate({ prepare, run }: Side): Promise<number> {
  await prepare?.();
  const startedAt = performance.now();
  const events = await run();
  return (events / (performance.now() - startedAt)) * 1_000;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const results = [];
for (const { title, ours, byHand } of comparisons) {
  const rates = { ours: [] as number[], byHand: [] as number[] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const [mine, theirs] = [await rate(ours), await rate(byHand)];
    if (round === 0) continue;
    rates.ours.push(mine);
    rates.byHand.push(theirs);
  }
  const [mine, theirs] = [median(rates.ours), median(rates.byHand)];
  results.push({
    title,
    ours: ours.name,
    byHand: byHand.name,
    perSecond: Math.round(mine),
    byHandPerSecond: Math.round(theirs),
    ratio: mine / theirs,
  });
}

if (json) {
  console.log(JSON.stringify({ node: process.version, eventBytes: bodies[0]?.length, results }));
} else {
  console.log(`events of ${bodies[0]?.length} bytes, medians of ${ROUNDS} rounds, Node ${process.version}\n`);
  for (const { title, ours, byHand, perSecond, byHandPerSecond, ratio } of results) {
    console.log(`${title.padEnd(30)} ${ratio.toFixed(2)} × by hand`);
    console.log(`  ${ours.padEnd(30)} ${String(perSecond).padStart(9)} events/s`);
    console.log(`  ${byHand.padEnd(30)} ${String(byHandPerSecond).padStart(9)} events/s`);
  }
}

writer.on('error', () => {});
writer.close();
await sessions.close();
client.disconnect();
await redis.stop();
await nsqd.stop();

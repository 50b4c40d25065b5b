import type { Session } from 'event-sessions';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, TYPE } from '../by-hand/envelope.js';
import type { ProducerJob } from '../children/producer.js';
import type { Bench, BenchContext } from '../harness/bench.js';
import { startChild } from '../harness/child.js';
import { median, type Spread, spreadOf } from '../harness/result.js';
import { sessionsOn } from '../harness/sessions.js';

const EVENT_BYTES = 250;
const PRODUCER = new URL('../children/producer.ts', import.meta.url);

/** Whether an event costs the same in a small session and a large one, among few sessions and many. */
export const scale: Bench = {
  name: 'scale',
  about: 'cost of an event from 100 to 1,000,000 in a session, 1 to 10,000 sessions, 1 to 8 processes',
  inCheck: false,
  async run(context) {
    await bySessionSize(context);
    await bySessions(context);
    await byProcesses(context);
    await redisMemory(context);
  },
};

async function bySessionSize(context: BenchContext): Promise<void> {
  const sizes = context.quick ? [100, 1_000, 10_000] : [100, 1_000, 10_000, 100_000, 1_000_000];
  const { sessions, client, batch, close } = await setUp(context);
  const add = new Map<number, number[]>();
  const commit = new Map<number, number[]>();
  for (let round = 0; round <= Math.min(3, context.rounds); round += 1) {
    for (const size of sizes) {
      // About as many events of each size, so that each is measured for as long.
      const many = Math.max(1, Math.min(200, Math.round(50_000 / size)));
      const started = await Promise.all(Array.from({ length: many }, () => sessions.startSession()));
      const adding = await perEvent(many * size, async () => {
        for (const session of started) {
          for (let from = 0; from < size; from += batch.length) await session.addMany(batch);
        }
      });
      const committing = await perEvent(many * size, async () => {
        // Ten at a time, so that what is fixed in a commit is overlapped, as it is in a service.
        for (let from = 0; from < many; from += 10) {
          await Promise.all(started.slice(from, from + 10).map((session) => session.commit()));
        }
      });
      await client.flushall();
      if (round === 0) continue;
      add.set(size, [...(add.get(size) ?? []), adding]);
      commit.set(size, [...(commit.get(size) ?? []), committing]);
    }
  }
  reportFlatness(context, 'add (addMany of 100)', 'events a session', add);
  reportFlatness(context, 'commit', 'events a session', commit);
  await close();
}

async function bySessions(context: BenchContext): Promise<void> {
  const numbers = context.quick ? [1, 100, 1_000] : [1, 100, 1_000, 10_000];
  const calls = context.quick ? 1_000 : 10_000;
  const { sessions, client, batch, close } = await setUp(context);
  const ten = batch.slice(0, 10);
  const costs = new Map<number, number[]>();
  for (let round = 0; round <= Math.min(3, context.rounds); round += 1) {
    for (const number of numbers) {
      const open: Session[] = [];
      while (open.length < number) {
        const more = Math.min(500, number - open.length);
        open.push(...(await Promise.all(Array.from({ length: more }, () => sessions.startSession()))));
      }
      const cost = await perEvent(calls * ten.length, async () => {
        for (let call = 0; call < calls; call += 1) await open[call % number]?.addMany(ten);
      });
      await client.flushall();
      if (round > 0) costs.set(number, [...(costs.get(number) ?? []), cost]);
    }
  }
  reportFlatness(context, 'add (addMany of 10)', 'open sessions', costs);
  await close();
}

async function byProcesses(context: BenchContext): Promise<void> {
  const { redis, quick, report } = context;
  const calls = quick ? 200 : 2_000;
  const rates: { processes: number; rate: number }[] = [];
  for (const processes of [1, 2, 4, 8]) {
    const job: ProducerJob = { redis: redis.url, calls };
    const children = await Promise.all(Array.from({ length: processes }, () => startChild(PRODUCER, job)));
    const startedAt = performance.now();
    const results = await Promise.all(children.map((child) => child.go()));
    const events = results.reduce((sum, { events = 0 }) => sum + events, 0);
    const rate = (events / (performance.now() - startedAt)) * 1_000;
    rates.push({ processes, rate });
    report({
      kind: 'figure',
      bench: 'scale',
      title: `addMany of 100 from ${processes} processes`,
      eventBytes: EVENT_BYTES,
      value: rate,
      unit: 'events/s',
    });
  }
  const [one, eight] = [rates[0]?.rate ?? 0, rates.at(-1)?.rate ?? 0];
  report({
    kind: 'figure',
    bench: 'scale',
    title: 'total throughput of 8 processes to that of 1',
    value: eight / one,
    unit: '×',
    goal: { atLeast: 1 },
  });
}

async function redisMemory(context: BenchContext): Promise<void> {
  const { sessions, client, batch, data, close } = await setUp(context);
  const count = 10_000;
  const usedBytes = async (fill: () => Promise<unknown>) => {
    await client.flushall();
    const used = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
    const before = await used();
    await fill();
    return ((await used()) - before) / count;
  };
  const list = async (withIds: boolean) => {
    for (let from = 0; from < count; from += 100) {
      const ids = Array.from({ length: 100 }, eventId);
      await client.rpush('list', ...ids.map((id) => envelope(id, 'bench', data)));
      if (withIds) await client.sadd('ids', ids);
    }
  };
  const many = async () => {
    const session = await sessions.startSession();
    for (let from = 0; from < count; from += batch.length) await session.addMany(batch);
  };
  const ownIds = async () => {
    const session = await sessions.startSession();
    for (let from = 0; from < count; from += batch.length) {
      await session.addMany(batch.map((event) => ({ ...event, id: eventId() })));
    }
  };
  const bare = await usedBytes(() => list(false));
  const figures = {
    'a list of envelopes': bare,
    'the same with a set of ids': await usedBytes(() => list(true)),
    'a session, ids made by the library': await usedBytes(many),
    'a session, ids given by the caller': await usedBytes(ownIds),
  };
  for (const [title, value] of Object.entries(figures)) {
    context.report({
      kind: 'figure',
      bench: 'scale',
      title: `Redis memory an event: ${title}`,
      eventBytes: EVENT_BYTES,
      value,
      unit: 'bytes',
      note: `${(value - bare).toFixed(0)} more than the list`,
    });
  }
  await client.flushall();
  const sessionsAtOnce = 1_000;
  const before = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  await Promise.all(Array.from({ length: sessionsAtOnce }, () => sessions.startSession()));
  const after = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  context.report({
    kind: 'figure',
    bench: 'scale',
    title: 'Redis memory of an open session without events',
    value: (after - before) / sessionsAtOnce,
    unit: 'bytes',
  });
  await client.flushall();
  await close();
}

async function setUp({ redis, nsqd }: BenchContext) {
  const client = new Redis(redis.url);
  const sessions = sessionsOn({ nsqd }, client, {
    limits: { maxSessionEvents: 2 ** 31, maxSessionBytes: 2 ** 40 },
  });
  const data = await dataOfSize(EVENT_BYTES);
  const batch = Array.from({ length: 100 }, () => ({ type: TYPE, data }));
  const close = async () => {
    await sessions.close();
    client.disconnect();
  };
  return { client, sessions, data, batch, close };
}

/** Microseconds. */
async function perEvent(events: number, work: () => Promise<unknown>): Promise<number> {
  globalThis.gc?.();
  const startedAt = performance.now();
  await work();
  return ((performance.now() - startedAt) * 1_000) / events;
}

/** Each cost, and how far the dearest is from the cheapest one half way: 1.15 / 0.85 are the bounds of ± 15 %. */
function reportFlatness(
  { report }: BenchContext,
  work: string,
  of: string,
  costs: ReadonlyMap<number, readonly number[]>,
): void {
  const medians: number[] = [];
  for (const [number, values] of costs) {
    medians.push(median(values));
    const spread: Spread = spreadOf(values);
    const title = `${work}, ${number.toLocaleString('en')} ${of}`;
    report({ kind: 'figure', bench: 'scale', title, value: median(values), unit: 'µs an event', spread });
  }
  const [low, high] = [Math.min(...medians), Math.max(...medians)];
  report({
    kind: 'figure',
    bench: 'scale',
    title: `${work}: deviation over ${of}`,
    value: ((high - low) / (high + low)) * 100,
    unit: '± %',
    goal: { atMost: 15 },
  });
}

import { join } from 'node:path';
import { createEventSessions } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { dataOfSize, SOURCE, TOPIC, TYPE } from '../by-hand/envelope.js';
import type { MemoryJob } from '../children/memory.js';
import type { Bench, BenchContext } from '../harness/bench.js';
import { startChild } from '../harness/child.js';
import { expectCount } from '../harness/expect.js';
import { writeLog } from './recovery.js';

const SCRIPT = new URL('../children/memory.ts', import.meta.url);
const GOAL_MIB = 64;

/** How much the resident memory of a process grows at its peak. */
export const memory: Bench = {
  name: 'memory',
  about: 'peak memory of a commit of 1,000,000 events, a recovery of 250 MB, events(), a stalled broker',
  inCheck: false,
  async run(context) {
    const count = context.quick ? 100_000 : 1_000_000;
    const millions = `${count.toLocaleString('en')} events`;
    await measure(context, 'events', `events() over ${millions}`, count);
    await measure(context, 'commit', `commit of ${millions}`, count);
    await measure(context, 'recover', `recovery of ${millions}`, count);
    await measure(context, 'stalled-broker', `${millions} produced against a stalled nsqd`, count);
  },
};

async function measure(context: BenchContext, work: MemoryJob['work'], title: string, events: number) {
  const { redis, nsqd, folder, report } = context;
  const log = join(folder, `${work}.jsonl`);
  const sessionId = `memory-${work}`;
  if (work === 'commit' || work === 'events') await fill(context, sessionId, events);
  const child = await startChild(SCRIPT, {
    work,
    redis: redis.url,
    nsqd: nsqd.tcp,
    log,
    sessionId,
    events,
  } satisfies MemoryJob);
  if (work === 'recover') await writeLog(log, await dataOfSize(250), events);
  if (work === 'stalled-broker') nsqd.signal('SIGSTOP');
  const {
    growthMiB = Number.NaN,
    done = 0,
    seconds = 0,
  } = await child.go().finally(() => {
    nsqd.signal('SIGCONT');
  });
  expectCount(done, events);
  report({
    kind: 'figure',
    bench: 'memory',
    title: `memory: ${title}`,
    eventBytes: 250,
    value: growthMiB,
    unit: 'MiB',
    goal: { atMost: GOAL_MIB },
    note: `${seconds.toFixed(1)} s`,
  });
}

async function fill({ redis }: BenchContext, sessionId: string, events: number): Promise<void> {
  const sessions = createEventSessions({
    source: SOURCE,
    store: redisStore({ url: redis.url }),
    topic: () => TOPIC,
    recovery: false,
    limits: { maxSessionEvents: 2 ** 31, maxSessionBytes: 2 ** 40 },
  });
  const data = await dataOfSize(250);
  const session = await sessions.startSession({ sessionId });
  const batch = Array.from({ length: 1_000 }, () => ({ type: TYPE, data }));
  for (let from = 0; from < events; from += 1_000) await session.addMany(batch);
  await sessions.close();
}

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
const GOAL = { atMost: 64 };

/** How much the resident memory of a process grows at its peak. */
export const memory: Bench = {
  name: 'memory',
  about:
    'peak memory of a commit of 1,000,000 events, a recovery of 250 MB, events(), producers and a stalled broker',
  inCheck: false,
  async run(context) {
    const count = context.quick ? 100_000 : 1_000_000;
    const millions = `${count.toLocaleString('en')} events`;
    const one = { events: count, producers: 1 };
    await measure(context, `events() over ${millions}`, { ...one, work: 'events', goal: GOAL });
    await measure(context, `commit of ${millions}`, { ...one, work: 'commit', goal: GOAL });
    await measure(context, `recovery of ${millions}`, { ...one, work: 'recover', goal: GOAL });
    for (const producers of [1, 16]) {
      const title = `${producers} producing ${millions}`;
      const many = { events: count, producers, work: 'produce' } as const;
      await measure(context, title, many);
      await measure(context, `${title}, nsqd stalled`, { ...many, stalled: true, goal: GOAL });
    }
  },
};

interface Measured extends Pick<MemoryJob, 'work' | 'events' | 'producers'> {
  readonly stalled?: boolean;
  readonly goal?: { readonly atMost: number };
}

async function measure(context: BenchContext, title: string, measured: Measured): Promise<void> {
  const { redis, nsqd, folder, report } = context;
  const { work, events, producers, stalled = false, goal } = measured;
  const sessionId = `memory-${work}`;
  const log = join(folder, `${sessionId}-${producers}.jsonl`);
  if (work === 'commit' || work === 'events') await fill(context, sessionId, events);
  const job: MemoryJob = { work, redis: redis.url, nsqd: nsqd.tcp, log, sessionId, events, producers };
  const child = await startChild(SCRIPT, job);
  if (work === 'recover') await writeLog(log, await dataOfSize(250), events);
  if (stalled) nsqd.signal('SIGSTOP');
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
    ...(goal && { goal }),
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

import { createEventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { dataOfSize, SOURCE, TOPIC, TYPE } from '../by-hand/envelope.js';
import { growthOf, jobOf, whenLetGo } from './protocol.js';

/** One of the works whose memory is measured, in a process of its own. */
export interface MemoryJob {
  readonly work: 'commit' | 'events' | 'recover' | 'produce';
  readonly redis: string;
  readonly nsqd: string;
  readonly log: string;
  readonly sessionId: string;
  readonly events: number;
  /** How many produce at once. */
  readonly producers: number;
}

const { work, redis, nsqd, log, sessionId, events, producers } = jobOf<MemoryJob>();
const sessions = createEventSessions({
  source: SOURCE,
  store: redisStore({ url: redis }),
  publisher: nsqPublisher({ nsqd }),
  contingency: fileContingency({ path: log, maxBytes: 2 ** 40 }),
  topic: () => TOPIC,
  recovery: false,
  logger: false,
  limits: { maxSessionEvents: 2 ** 31, maxSessionBytes: 2 ** 40 },
});
const data = await dataOfSize(250);
const batch = (count: number) => Array.from({ length: count }, () => ({ type: TYPE, data }));

const works: Record<MemoryJob['work'], () => Promise<number>> = {
  commit: async () => (await sessions.session(sessionId).commit()).published,
  recover: async () => (await sessions.recover()).published,
  async events() {
    let seen = 0;
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await sessions.session(sessionId).events({ after, limit: 1_000 });
      seen += page.events.length;
      after = page.next;
    }
    return seen;
  },
  /** Producers that wait for nothing but their own commits. */
  async produce() {
    let left = events;
    let ended = 0;
    const produce = async () => {
      while (left > 0) {
        left -= 1_000;
        const { receipt } = await sessions.transaction((session) => session.addMany(batch(1_000)));
        ended += receipt.published + receipt.deferred;
      }
    };
    await Promise.all(Array.from({ length: producers }, produce));
    return ended;
  },
};

/** What runs once has been compiled and has its buffers; what grows from now on grows with the work. */
async function warmUp(): Promise<void> {
  for (let i = 0; i < 5; i += 1) {
    const session = await sessions.startSession();
    await session.addMany(batch(2_000));
    await session.events({ limit: 1_000 });
    await session.commit();
  }
}

await warmUp();
await whenLetGo(async () => {
  const startedAt = performance.now();
  let done = 0;
  const growthMiB = await growthOf(async () => {
    done = await works[work]();
  });
  return { growthMiB, done, seconds: (performance.now() - startedAt) / 1_000 };
});
await sessions.close();

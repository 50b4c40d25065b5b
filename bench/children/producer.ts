import { createEventSessions } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { dataOfSize, SOURCE, TYPE } from '../by-hand/envelope.js';
import { jobOf, whenLetGo } from './protocol.js';

/** One of several client processes that add at the same time. */
export interface ProducerJob {
  readonly redis: string;
  readonly calls: number;
}

const { redis, calls } = jobOf<ProducerJob>();
const sessions = createEventSessions({
  source: SOURCE,
  store: redisStore({ url: redis }),
  recovery: false,
  limits: { maxSessionEvents: 2 ** 31, maxSessionBytes: 2 ** 40 },
});
const data = await dataOfSize(250);
const batch = Array.from({ length: 100 }, () => ({ type: TYPE, data }));

async function produce(times: number): Promise<void> {
  const session = await sessions.startSession();
  for (let call = 0; call < times; call += 1) await session.addMany(batch);
  await session.rollback();
}

await produce(50);
await whenLetGo(async () => {
  await produce(calls);
  return { events: calls * batch.length };
});
await sessions.close();

import type { Session } from 'event-sessions';
import { Redis } from 'ioredis';
import { dataOfSize, envelope, eventId, TOPIC, TYPE } from '../by-hand/envelope.js';
import { mpub, rawNsqd } from '../by-hand/raw-nsqd.js';
import type { Bench } from '../harness/bench.js';
import { median, quantile, spreadOf } from '../harness/result.js';
import { sessionsOn } from '../harness/sessions.js';

const ADDS_PER_SECOND = 2_000;
const COMMITS_PER_SECOND = 200;
const EVENTS = 10;

/**
 * Calls begin at fixed times, whether or not those before have ended, and a call's latency counts from the time at
 * which it should have begun. So a pause makes every call late that falls into it.
 */
export const latency: Bench = {
  name: 'latency',
  about: 'p50 and p99 of add and of a commit of 10 events at a fixed rate, next to the same by hand',
  inCheck: false,
  async run({ redis, nsqd, quick, rounds, report }) {
    const seconds = quick ? 1 : 3;
    const client = new Redis(redis.url);
    const sessions = sessionsOn({ nsqd }, client);
    const raw = await rawNsqd(nsqd.tcp);
    const data = await dataOfSize(250);

    const addTo = await sessions.startSession();
    const adds = {
      'session.add': () => addTo.add(TYPE, data),
      'SADD + RPUSH by hand': async () => {
        const id = eventId();
        await client
          .pipeline()
          .sadd('{bench}:ids', id)
          .rpush('{bench}:list', envelope(id, 'bench', data))
          .exec();
      },
    };
    await sideBySide('add', ADDS_PER_SECOND, adds);

    const commits = COMMITS_PER_SECOND * seconds;
    let filled: Session[] = [];
    let lists: string[] = [];
    const prepare = async () => {
      await client.flushall();
      filled = await Promise.all(Array.from({ length: commits }, () => sessions.startSession()));
      const batch = Array.from({ length: EVENTS }, () => ({ type: TYPE, data }));
      await Promise.all(filled.map((session) => session.addMany(batch)));
      lists = Array.from({ length: commits }, eventId);
      for (const id of lists) {
        await client.rpush(
          id,
          ...Array.from({ length: EVENTS }, (_, i) => envelope(eventId(), id, data, i + 1)),
        );
      }
    };
    const byHand = {
      'session.commit': async () => filled.pop()?.commit(),
      'LRANGE + MPUB + DEL by hand': async () => {
        const id = lists.pop() ?? '';
        await raw.send(mpub(TOPIC, await client.lrangeBuffer(id, 0, -1)));
        await client.del(id);
      },
    };
    await sideBySide(`commit of ${EVENTS}`, COMMITS_PER_SECOND, byHand, prepare);

    raw.close();
    await sessions.close();
    client.disconnect();

    async function sideBySide(
      work: string,
      perSecond: number,
      sides: Record<string, () => Promise<unknown>>,
      before?: () => Promise<void>,
    ): Promise<void> {
      const found = new Map<string, { p50: number[]; p99: number[] }>();
      for (let round = 0; round <= Math.min(rounds, 5); round += 1) {
        await before?.();
        for (const [name, call] of Object.entries(sides)) {
          const latencies = await openLoop(perSecond, perSecond * seconds, call);
          if (round === 0) continue;
          const entry = found.get(name) ?? { p50: [], p99: [] };
          entry.p50.push(quantile(latencies, 0.5));
          entry.p99.push(quantile(latencies, 0.99));
          found.set(name, entry);
        }
      }
      for (const [name, figures] of found) {
        for (const percentile of ['p50', 'p99'] as const) {
          const values = figures[percentile];
          report({
            kind: 'figure',
            bench: 'latency',
            title: `${work}, ${perSecond.toLocaleString('en')}/s, ${percentile}: ${name}`,
            eventBytes: 250,
            value: median(values),
            spread: spreadOf(values),
            unit: 'ms',
          });
        }
      }
    }
  },
};

/** Milliseconds from the time at which each call was due. */
async function openLoop(perSecond: number, calls: number, call: () => Promise<unknown>): Promise<number[]> {
  const latencies: number[] = [];
  const underWay: Promise<void>[] = [];
  const startedAt = performance.now();
  const dueAt = (n: number) => startedAt + (n * 1_000) / perSecond;
  for (let n = 0; n < calls; ) {
    const now = performance.now();
    for (; n < calls && dueAt(n) <= now; n += 1) {
      const due = dueAt(n);
      underWay.push(
        call().then(() => {
          latencies.push(performance.now() - due);
        }),
      );
    }
    // Looks at the clock with every turn of the event loop: a timer would come up to a millisecond late.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(underWay);
  return latencies;
}

import { join } from 'node:path';
import { createEventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { redisStore } from 'event-sessions/redis';
import { dataOfSize, SOURCE, TYPE } from '../by-hand/envelope.js';
import type { Bench } from '../harness/bench.js';
import { expectCount } from '../harness/expect.js';
import { quantile } from '../harness/result.js';

const DEADLINE_MS = 2_000;
const AT_ONCE = 100;

/** Redis stops answering (SIGSTOP, the worst way to be down): every add ends in the log, and none waits for long. */
export const outage: Bench = {
  name: 'outage',
  about: 'the store down: 10,000 adds into the log, each within the deadline',
  inCheck: false,
  async run({ redis, quick, folder, report }) {
    const data = await dataOfSize(250);
    const count = quick ? 1_000 : 10_000;
    const sessions = createEventSessions({
      source: SOURCE,
      store: redisStore({ url: redis.url, deadlineMs: DEADLINE_MS }),
      contingency: fileContingency({ path: join(folder, 'contingency-log.jsonl') }),
      recovery: false,
      logger: false,
    });
    const session = await sessions.startSession();
    redis.signal('SIGSTOP');
    try {
      const first: number[] = [];
      const rest: number[] = [];
      for (let done = 0; done < count; done += AT_ONCE) {
        const into = done === 0 ? first : rest;
        const adds = Array.from({ length: AT_ONCE }, async () => {
          const startedAt = performance.now();
          const { deferred } = await session.add(TYPE, data);
          into.push(performance.now() - startedAt);
          return deferred;
        });
        expectCount((await Promise.all(adds)).filter(Boolean).length, AT_ONCE);
      }
      const figure = { kind: 'figure', bench: 'outage', unit: 'ms', eventBytes: 250 } as const;
      const slowest = Math.max(...first);
      // The log's own write comes on top of the store's deadline.
      const goal = { atMost: DEADLINE_MS + 250 };
      report({ ...figure, title: 'store stalled, the first adds: slowest', value: slowest, goal });
      const note = `${rest.length} adds, ${AT_ONCE} at once`;
      report({ ...figure, title: 'breaker open: median add', value: quantile(rest, 0.5), note });
      report({
        ...figure,
        title: 'breaker open: slowest add',
        value: Math.max(...rest),
        goal: { atMost: 250 },
      });
    } finally {
      redis.signal('SIGCONT');
    }
    await sessions.close();
  },
};

import { createEventSessions, memoryPublisher } from 'event-sessions';
import { dataOfSize, envelope, eventId, SOURCE, TYPE } from '../by-hand/envelope.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

const GOAL = 0.5;

/** What the library itself costs: no server, no disk. */
export const memoryAdapters: Bench = {
  name: 'memory-adapters',
  about: 'add and commit on the memory adapters, against pushing the same envelopes into an array',
  inCheck: true,
  async run(context) {
    const { report, sizes } = context;
    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const count = countFor(context, eventBytes, 50_000);
      const array: Side = {
        name: 'envelopes into an array',
        async run() {
          const events: string[] = [];
          const id = eventId();
          for (let i = 0; i < count; i += 1) events.push(envelope(eventId(), id, data, i + 1));
          return events.length;
        },
      };
      const side = (name: string, fill: (sessions: Sessions) => Promise<Filled>): Side => {
        let publisher = memoryPublisher();
        let sessions = createEventSessions();
        return {
          name,
          prepare: async () => {
            await sessions.close();
            publisher = memoryPublisher();
            sessions = createEventSessions({ source: SOURCE, publisher, recovery: false, logger: false });
          },
          run: async () => (await (await fill(sessions)).commit()).published,
          verify: async () => expectCount(publisher.published.length, count),
        };
      };
      const many = side('addMany of 1,000, commit', async (sessions) => {
        const session = await sessions.startSession();
        for (let from = 0; from < count; from += 1_000) {
          const events = Array.from({ length: Math.min(1_000, count - from) }, () => ({ type: TYPE, data }));
          await session.addMany(events);
        }
        return session;
      });
      const one = side('add, each awaited, commit', async (sessions) => {
        const session = await sessions.startSession();
        for (let i = 0; i < count; i += 1) await session.add(TYPE, data);
        return session;
      });
      const common = { bench: 'memory-adapters', eventBytes, goal: GOAL, theirs: array };
      report(await compare({ ...common, title: 'memory adapters, addMany + commit', ours: many }, context));
      report(await compare({ ...common, title: 'memory adapters, add + commit', ours: one }, context));
    }
  },
};

type Sessions = ReturnType<typeof createEventSessions>;
interface Filled {
  commit(): Promise<{ readonly published: number }>;
}

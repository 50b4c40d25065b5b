/**
 * An instance of its own process, for the tests that need several. It takes one job as JSON in its first argument,
 * prints one JSON line for each thing that happens, and waits for a line on its standard input before it acts.
 */
import { once } from 'node:events';
import { createEventSessions, type EventPublisher, isEventSessionsError } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';

export interface WorkerJob {
  readonly redis: string;
  readonly nsqd: string;
  readonly prefix: string;
  /** What to do with each session, in this order. */
  readonly acts: readonly { readonly act: 'commit' | 'rollback'; readonly sessionId: string }[];
  readonly batchEvents: number;
  readonly inFlight: number;
  readonly leaseMs: number;
  /** After so many acknowledged batches the next ones are published, but this process never hears of it. */
  readonly deafAfter?: number;
}

const job = JSON.parse(process.argv[2] ?? '') as WorkerJob;
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const nsq = nsqPublisher({ nsqd: job.nsqd });
const sessions = createEventSessions({
  store: redisStore({ url: job.redis, prefix: job.prefix, deadlineMs: 10_000 }),
  publisher: job.deafAfter === undefined ? nsq : deafAfter(nsq, job.deafAfter),
  contingency: false,
  commit: { batchEvents: job.batchEvents, inFlight: job.inFlight, leaseMs: job.leaseMs },
  recovery: false,
  logger: false,
});

tell({ ready: true });
await once(process.stdin, 'data');
await Promise.all(
  job.acts.map(async ({ act, sessionId }) => {
    const session = sessions.session(sessionId);
    try {
      const receipt = act === 'commit' ? await session.commit() : await session.rollback();
      tell({ sessionId, act, receipt });
    } catch (error) {
      if (!isEventSessionsError(error)) throw error;
      tell({ sessionId, act, code: error.code, status: error.status });
    }
  }),
);
await sessions.close();
process.stdin.destroy();

function deafAfter(publisher: EventPublisher, batches: number): EventPublisher {
  let published = 0;
  let unheard = 0;
  return {
    ...publisher,
    async publish(batch) {
      published += 1;
      const deaf = published > batches;
      await publisher.publish(batch);
      if (!deaf) return;
      unheard += 1;
      if (unheard === job.inFlight) tell({ deaf: true });
      await new Promise(() => {});
    },
  };
}

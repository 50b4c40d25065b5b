/**
 * A service that gets a SIGTERM in the middle of its work. It begins a commit of the session given, adds events to
 * another one as fast as they are taken, and prints a JSON line for each acknowledged one.
 */
import { createEventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';

export interface ShutdownJob {
  readonly redis: string;
  readonly nsqd: string;
  readonly prefix: string;
  readonly log: string;
  readonly committed: string;
  readonly added: string;
}

const job = JSON.parse(process.argv[2] ?? '') as ShutdownJob;
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const sessions = createEventSessions({
  store: redisStore({ url: job.redis, prefix: job.prefix, deadlineMs: 10_000 }),
  publisher: nsqPublisher({ nsqd: job.nsqd }),
  contingency: fileContingency({ path: job.log }),
  commit: { batchEvents: 5, inFlight: 2, leaseMs: 60_000 },
  logger: false,
});

let closing = false;
process.once('SIGTERM', async () => {
  closing = true;
  await sessions.close();
  tell({ closed: true });
});

sessions.once('batch.published', () => tell({ begun: true }));
sessions
  .session(job.committed)
  .commit()
  .then((receipt) => tell({ receipt }));
for (let n = 1; !closing; n += 1) {
  await sessions
    .session(job.added)
    .add('added', n)
    .then(
      ({ eventId }) => tell({ eventId }),
      ({ code }) => tell({ code }),
    );
}

import { createReadStream } from 'node:fs';
import { copyFile, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createEventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { type Data, dataOfSize, envelope, eventId, TOPIC } from '../by-hand/envelope.js';
import { countsOf } from '../by-hand/nsqd-counts.js';
import { batchOf, IN_FLIGHT, mpub, rawNsqd } from '../by-hand/raw-nsqd.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

const GOAL = 0.7;
/** Events of an append, or of a write. */
const BATCH = 500;
const SESSIONS = 10;

/** Events that the broker could not take at a commit, from the file to nsqd. */
export const recovery: Bench = {
  name: 'recovery',
  about: 'recovery of 100,000 unpublished events, against reading a file and MPUB on a raw socket',
  inCheck: false,
  async run(context) {
    const { nsqd, sizes, folder, report } = context;
    const raw = await rawNsqd(nsqd.tcp);
    const publisher = nsqPublisher({ nsqd: nsqd.tcp });
    for (const eventBytes of sizes) {
      const data = await dataOfSize(eventBytes);
      const count = countFor(context, eventBytes, 100_000);
      const [log, lines] = [join(folder, 'log.jsonl'), join(folder, 'lines.jsonl')];
      await writeLog(log, data, count);
      await writeLines(lines, data, count);
      const path = join(folder, 'contingency-log.jsonl');
      let sessions = createEventSessions();
      let before = 0;
      const counted = async () => (await countsOf(nsqd.http, TOPIC)).messages;
      const ours: Side = {
        name: 'recover',
        prepare: async () => {
          await copyFile(log, path);
          sessions = createEventSessions({
            publisher: { ...publisher, close: async () => {} },
            contingency: fileContingency({ path, maxBytes: 2 ** 40 }),
            recovery: false,
            logger: false,
          });
          before = await counted();
        },
        run: async () => (await sessions.recover()).published,
        async verify() {
          expectCount((await counted()) - before, count);
          await sessions.close();
          await rm(path, { force: true });
        },
      };
      const theirs: Side = {
        name: `reading lines + raw MPUB, ${IN_FLIGHT} in flight`,
        prepare: async () => {
          before = await counted();
        },
        async run() {
          const inFlight: Promise<void>[] = [];
          const full = batchOf(eventBytes);
          let batch: Buffer[] = [];
          let rest: Buffer = Buffer.alloc(0);
          const send = async () => {
            inFlight.push(raw.send(mpub(TOPIC, batch)));
            batch = [];
            if (inFlight.length >= IN_FLIGHT) await inFlight.shift();
          };
          for await (const chunk of createReadStream(lines, { highWaterMark: 1_048_576 })) {
            const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
            let from = 0;
            for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
              batch.push(bytes.subarray(from, end));
              from = end + 1;
              if (batch.length === full) await send();
            }
            rest = bytes.subarray(from);
          }
          if (batch.length > 0) await send();
          await Promise.all(inFlight);
          return count;
        },
        verify: async () => expectCount((await counted()) - before, count),
      };
      const title = 'recovery of 100,000 unpublished';
      report(await compare({ bench: 'recovery', title, eventBytes, goal: GOAL, ours, theirs }, context));
    }
    raw.close();
    await publisher.close();
  },
};

/** What a commit leaves in the log when the broker is down, for several sessions. */
export async function writeLog(path: string, data: Data, count: number): Promise<void> {
  await rm(path, { force: true });
  const log = fileContingency({ path, maxBytes: 2 ** 40, fsync: 'never' });
  const perSession = Math.ceil(count / SESSIONS);
  for (let from = 0; from < count; from += BATCH) {
    const records = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => {
      const sessionId = `session-${Math.floor((from + i) / perSession)}`;
      return {
        kind: 'event.unpublished' as const,
        sessionId,
        at: Date.now(),
        topic: TOPIC,
        sequence: ((from + i) % perSession) + 1,
        event: envelope(eventId(), sessionId, data),
      };
    });
    await log.append(records);
  }
  await log.close();
}

async function writeLines(path: string, data: Data, count: number): Promise<void> {
  const file = await open(path, 'w');
  for (let from = 0; from < count; from += BATCH) {
    const lines = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) =>
      envelope(eventId(), 'session-0', data, from + i + 1),
    );
    await file.write(`${lines.join('\n')}\n`);
  }
  await file.close();
}

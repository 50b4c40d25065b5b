import { type CommitReceipt, createEventSessions, isEventSessionsError, type Session } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { afterEach, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { consume } from '../support/nsqd.js';
import { describeWithAll } from '../support/services.js';
import type { WorkerJob } from './worker.js';
import { startWorker, type Worker } from './workers.js';

const PROCESSES = 4;
const SESSIONS = 20;
const EVENTS = 5;

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  const workers: Worker[] = [];
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  });

  const worker = async (job: Pick<WorkerJob, 'prefix' | 'acts'> & Partial<WorkerJob>) => {
    const defaults = { redis: redis.url, nsqd: nsqd.tcp, batchEvents: 2, inFlight: 2, leaseMs: 15_000 };
    const started = await startWorker({ ...defaults, ...job });
    workers.push(started);
    return started;
  };

  const instance = (prefix: string, commit: { batchEvents: number; inFlight: number; leaseMs: number }) =>
    createEventSessions({
      store: redisStore({ url: redis.url, prefix }),
      publisher: nsqPublisher({ nsqd: nsqd.tcp }),
      contingency: false,
      commit,
      recovery: false,
      logger: false,
    });

  test('G2 G5: commits and rollbacks raced from four processes end in one outcome each', async () => {
    const prefix = `race-${newId()}`;
    const topic = prefix.slice(0, 60);
    await using sessions = instance(prefix, { batchEvents: 2, inFlight: 2, leaseMs: 15_000 });
    const ids: string[] = [];
    for (let i = 0; i < SESSIONS; i += 1) {
      const session = await sessions.startSession();
      await session.addMany(Array.from({ length: EVENTS }, (_, n) => ({ type: 'raced', data: n, topic })));
      ids.push(session.id);
    }

    const racers = await Promise.all(
      Array.from({ length: PROCESSES }, (_, p) =>
        worker({
          prefix,
          acts: ids.map((sessionId, s) => ({ act: (p + s) % 2 === 0 ? 'commit' : 'rollback', sessionId })),
        }),
      ),
    );
    for (const racer of racers) racer.go();
    const said = (await Promise.all(racers.map((racer) => racer.ended()))).flat();

    const committed: string[] = [];
    for (const sessionId of ids) {
      const lines = said.filter((line) => line.sessionId === sessionId);
      expect(lines).toHaveLength(PROCESSES);
      const { status } = await sessions.session(sessionId).status();
      expect(['committed', 'rolled_back']).toContain(status);
      const [winner, loser] = status === 'committed' ? ['commit', 'rollback'] : ['rollback', 'commit'];
      const winners = lines.filter(({ act }) => act === winner);
      const receipts = winners.filter(({ receipt }) => receipt !== undefined);
      expect(receipts.length).toBeGreaterThan(0);
      for (const { receipt } of receipts) expect(receipt).toEqual(receipts[0]?.receipt);
      for (const { receipt, code } of winners) if (!receipt) expect(code).toBe('COMMIT_IN_PROGRESS');
      for (const line of lines.filter(({ act }) => act === loser)) {
        expect(line.code).toBe('SESSION_NOT_OPEN');
        expect(['committed', 'committing', 'rolled_back']).toContain(line.status);
      }
      if (status === 'committed') committed.push(sessionId);
    }
    expect(committed.length).toBeGreaterThan(0);

    const bodies = await consume(nsqd.tcp, topic, { count: committed.length * EVENTS });
    const arrived = bodies
      .map((body) => JSON.parse(body))
      .map(({ sessionid, data }) => `${sessionid} ${data}`);
    const due = committed.flatMap((id) => Array.from({ length: EVENTS }, (_, n) => `${id} ${n}`));
    expect(arrived.sort()).toEqual(due.sort());
    expect(await messageCount(topic)).toBe(due.length);
  });

  test('G3 G4: a commit killed between batches is taken over at its cursor, with no more duplicates than its window', async () => {
    const prefix = `killed-${newId()}`;
    const topic = prefix.slice(0, 60);
    const commit = { batchEvents: 10, inFlight: 3, leaseMs: 3_000 };
    const count = 200;
    await using sessions = instance(prefix, commit);
    const session = await sessions.startSession();
    await session.addMany(
      Array.from({ length: count }, (_, n) => ({ type: 'kept', data: n, topic, id: `e-${n}` })),
    );

    const doomed = await worker({
      prefix,
      acts: [{ act: 'commit', sessionId: session.id }],
      ...commit,
      deafAfter: 4,
    });
    doomed.go();
    await doomed.line('deaf');
    const refused = await session.commit().catch((error: unknown) => error);
    expect(isEventSessionsError(refused, 'COMMIT_IN_PROGRESS')).toBe(true);
    await doomed.kill();

    const receipt = await commitAfterLease(session);
    expect(receipt).toMatchObject({ status: 'committed', events: count, published: count, deferred: 0 });
    const { epoch, history } = await session.status();
    expect(epoch).toBe(2);
    expect(history.map(({ status }) => status)).toEqual(['open', 'committing', 'committing', 'committed']);

    const window = commit.batchEvents * commit.inFlight;
    const bodies = await consume(nsqd.tcp, topic, { count: count + window });
    const events = bodies.map((body) => JSON.parse(body) as { id: string; sequence: string });
    expect(await messageCount(topic)).toBe(count + window);
    expect(new Set(events.map(({ id }) => id)).size).toBe(count);
    const seen = new Set<string>();
    const firsts = events.filter(({ sequence }) => !seen.has(sequence) && seen.add(sequence));
    expect(firsts.map(({ sequence }) => Number(sequence))).toEqual(
      Array.from({ length: count }, (_, n) => n + 1),
    );
  });

  /** How many messages nsqd was ever given for the topic. */
  async function messageCount(topic: string): Promise<number> {
    const response = await fetch(`http://${nsqd.http}/stats?format=json&topic=${topic}`);
    const { topics } = (await response.json()) as { topics: { message_count: number }[] };
    return topics.reduce((sum, { message_count }) => sum + message_count, 0);
  }

  async function commitAfterLease(session: Session): Promise<CommitReceipt> {
    for (;;) {
      try {
        return await session.commit();
      } catch (error) {
        if (!isEventSessionsError(error, 'COMMIT_IN_PROGRESS')) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.min(error.retryAfterMs ?? 0, 50)));
      }
    }
  }
});

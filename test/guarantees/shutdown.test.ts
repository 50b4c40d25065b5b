import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type CommitReceipt, createEventSessions } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { consume } from '../support/nsqd.js';
import { describeWithAll } from '../support/services.js';
import type { ShutdownJob } from './shutdown-worker.js';

const SCRIPT = fileURLToPath(new URL('./shutdown-worker.ts', import.meta.url));
const EVENTS = 20_000;

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('a SIGTERM in the middle of a commit and of adds loses nothing, repeats nothing, and hands the lease over', async () => {
    const prefix = `term-${newId()}`;
    const topic = prefix.slice(0, 60);
    const folder = await mkdtemp(join(tmpdir(), 'event-sessions-term-'));
    await using sessions = createEventSessions({
      store: redisStore({ url: redis.url, prefix, deadlineMs: 10_000 }),
      publisher: nsqPublisher({ nsqd: nsqd.tcp }),
      recovery: false,
      logger: false,
    });
    try {
      const committed = await sessions.startSession();
      for (let n = 0; n < EVENTS; n += 10_000) {
        await committed.addMany(
          Array.from({ length: 10_000 }, (_, i) => ({ type: 'c', data: n + i + 1, topic })),
        );
      }
      const added = await sessions.startSession();
      const job: ShutdownJob = {
        redis: redis.url,
        nsqd: nsqd.tcp,
        prefix,
        log: join(folder, 'log.jsonl'),
        committed: committed.id,
        added: added.id,
      };
      const child = spawn(process.execPath, ['--import', 'tsx', SCRIPT, JSON.stringify(job)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: Record<string, unknown>[] = [];
      createInterface({ input: child.stdout }).on('line', (text) => {
        const line = JSON.parse(text);
        lines.push(line);
        if ('begun' in line) child.kill('SIGTERM');
      });
      expect(await once(child, 'close')).toEqual([0, null]);

      expect(lines.at(-1)).toEqual({ closed: true });
      const { receipt } = lines.find((line) => 'receipt' in line) as { receipt: CommitReceipt };
      expect(receipt.status).toBe('committing');
      expect(await committed.status()).toMatchObject({
        status: 'committing',
        published: receipt.published,
        leaseExpiresAt: undefined,
      });
      expect(await committed.commit()).toMatchObject({ status: 'committed', published: EVENTS });
      const bodies = await consume(nsqd.tcp, topic, { count: EVENTS, timeoutMs: 60_000 });
      const data = bodies.map((body) => JSON.parse(body).data as number);
      expect(data.sort((a, b) => a - b)).toEqual(Array.from({ length: EVENTS }, (_, i) => i + 1));

      const acknowledged = lines.flatMap((line) => ('eventId' in line ? [line.eventId] : []));
      expect(acknowledged.length).toBeGreaterThan(0);
      const stored: unknown[] = [];
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page = await added.events({ after, limit: 1_000 });
        stored.push(...page.events.map(({ id }) => id));
        after = page.next;
      }
      expect(stored).toEqual(acknowledged);
      expect(lines.filter((line) => 'code' in line && line.code !== 'CLOSED')).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 120_000);
});

/**
 * Plays scenarios, with a fault at one point of each: takes cases as JSON lines on its standard input, one at a time,
 * and answers each with a JSON line on its standard output, unless the case was to kill it.
 */
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { newId } from '../../src/core/ids.js';
import { openHistory } from '../campaign/history.js';
import { createActor } from './actor.js';
import { type Case, historyOf, LOG, logOf, type Played, redisPrefix } from './case.js';
import { faultLine } from './fault-line.js';
import { fileBorder } from './file-border.js';
import { nsqdBorder } from './nsqd-border.js';
import { redisBorder } from './redis-border.js';
import { scenarios } from './scenarios/index.js';
import type { Actor, Stage } from './scenarios/stage.js';

const files = fileBorder();
const broker = nsqdBorder();
const intervals = scriptedIntervals();
let redis: Redis | undefined;

async function play(job: Case): Promise<Played> {
  redis ??= new Redis(job.redis, { autoResendUnfulfilledCommands: false });
  const server = redis;
  const line = faultLine(job.fault, ({ operation, action }) => {
    if (action === 'fail' && operation.includes('/file.')) noteDisk(job, operation);
  });
  const methods = new Set<string>();
  const actors: Actor[] = [];
  Object.assign(files, { line, log: logOf(job.folder) });
  Object.assign(broker, { line, down: false });
  intervals.mode = 'never';
  let inSetting = false;

  const stage: Stage = {
    line,
    broker,
    log: logOf(job.folder),
    prefix: redisPrefix(job.id),
    sessionId: (name) => `${job.id}-${name}`,
    actor() {
      const actor = createActor({
        id: job.id,
        folder: job.folder,
        topics: job.topics,
        redis: redisBorder(server, line),
        publisher: nsqPublisher({ nsqd: job.nsqd, reconnect: { minMs: 1, maxMs: 1 } }),
        history: openHistory(historyOf(job.folder), `p${actors.length + 1}`),
        phase: (name, work) => (inSetting ? work() : line.phase(name, work)),
        onStoreCall: (method) => methods.add(method),
      });
      actors.push(actor);
      return actor;
    },
    async setting(work) {
      const outer = inSetting;
      inSetting = true;
      try {
        return await line.phase(undefined, work);
      } finally {
        inSetting = outer;
      }
    },
    async dueTooEarly(sessionId) {
      await server.zadd(`${redisPrefix(job.id)}:index`, 1, sessionId);
    },
    async pastGrace(sessionId) {
      const store = redisStore({ client: server, prefix: redisPrefix(job.id) });
      const isOverdue = async () => (await store.get(sessionId))?.status === 'expired';
      while (!(await isOverdue())) await store.ping();
      await store.expire(sessionId, { retentionMs: 60_000, graceMs: 1, cause: { instance: 'before' } });
      while (!(await store.due(1)).includes(sessionId)) await store.ping();
    },
    damageLog(text) {
      noteDisk(job, 'damage');
      appendFileSync(logOf(job.folder), text);
    },
    abandonedCommit: (sessionId, events) => abandonCommit(job, server, sessionId, events),
    tickOnce() {
      intervals.mode = 'once';
      return () => {
        intervals.mode = 'never';
      };
    },
  };

  const scenario = scenarios.find(({ name }) => name === job.scenario);
  let error: string | undefined;
  try {
    await scenario?.play(stage);
    for (const actor of actors) await actor.close();
  } catch (failure) {
    error = failure instanceof Error ? (failure.stack ?? failure.message) : String(failure);
  }
  return { id: job.id, reached: line.reached, struck: line.struck, methods: [...methods], error };
}

/** So that the checker knows why the log could not take something, or has something in it that nobody can read. */
function noteDisk(job: Case, what: string): void {
  const history = openHistory(historyOf(job.folder), 'disk');
  const at = Date.now();
  history.write({ kind: 'fault', fault: `disk: ${what}`, target: LOG, from: at, until: at });
  history.close();
}

/** By the store alone, since an instance that dies in the middle would take this process along. */
async function abandonCommit(job: Case, redis: Redis, sessionId: string, count: number): Promise<void> {
  const history = openHistory(historyOf(job.folder), 'abandoned');
  const store = redisStore({ client: redis, prefix: redisPrefix(job.id) });
  const cause = { instance: history.process };
  const [topic] = job.topics;
  const events = Array.from({ length: count }, (_, i) => ({
    id: `${sessionId}-a${i + 1}`,
    tag: `a${i + 1}`,
    topic,
  }));
  const receipt = { sessionId, deferred: false };

  history.write({ kind: 'started', log: LOG });
  history.write({ kind: 'invoke', op: 1, command: 'start', sessionId });
  await store.start({ sessionId, metadata: '{}', ttlMs: 60_000, cause });
  history.write({ kind: 'ok', op: 1, receipt: { ...receipt, status: 'open', created: true } });

  history.write({ kind: 'invoke', op: 2, command: 'add', sessionId, events });
  const limits = { maxSessionEvents: 100, maxSessionBytes: 1_000_000 };
  const accepted = events.map(({ id, tag }) => ({ id, topic, json: envelope(sessionId, id, tag) }));
  await store.append(sessionId, accepted, limits);
  const receipts = events.map(({ id }) => ({ ...receipt, eventId: id, duplicate: false }));
  history.write({ kind: 'ok', op: 2, receipt: { ...receipt, events: receipts } });

  history.write({ kind: 'invoke', op: 3, command: 'commit', sessionId });
  await store.beginCommit(sessionId, { attemptId: newId(), leaseMs: 1, cause });
  history.write({ kind: 'committing', sessionId, epoch: 1, events: count, cursor: 0 });
  history.close();
}

function envelope(sessionid: string, id: string, data: string): string {
  const source = '/event-sessions';
  return JSON.stringify({ specversion: '1.0', id, source, type: 'step', sessionid, data });
}

/** Renewals and heartbeats come by the clock; here by the scenario, so that every run has the same points. */
function scriptedIntervals(): { mode: 'never' | 'once' } {
  const intervals = { mode: 'never' as 'never' | 'once' };
  const { setInterval } = globalThis;
  globalThis.setInterval = ((work: () => void) => {
    const timer = setInterval(() => {
      clearInterval(timer);
      if (intervals.mode === 'once') work();
    }, 10);
    return timer;
  }) as typeof setInterval;
  return intervals;
}

createInterface({ input: process.stdin }).on('line', async (text) => {
  process.stdout.write(`${JSON.stringify(await play(JSON.parse(text) as Case))}\n`);
});
process.stdin.on('end', () => redis?.disconnect());

import * as z from 'zod/mini';
import { EventSessionsError } from '../../core/errors.js';
import type { AcceptedEvent } from '../../core/event.js';
import type { Cause, SessionStatus } from '../../core/lifecycle.js';
import { timerMs, validate, withMethods } from '../../core/validate.js';
import type {
  AppendOutcome,
  BeginCommitOutcome,
  FencedOutcome,
  NotFound,
  NotOpen,
  SessionStore,
} from '../../ports/session-store.js';
import { appendQueue } from './append-queue.js';
import { committingSessions } from './committing-sessions.js';
import { borrowedClient, createConnection, ownClient, type RedisClient } from './redis-client.js';
import * as scripts from './scripts.js';
import { createSessionIndex } from './session-index.js';
import { type RedisSessionRecord, toPage, toRecord, toStoredEvent } from './session-record.js';
import { isWriters, runOf } from './writer-ids.js';

export type RedisStoreOptions = {
  /** Before every key. Default `event-sessions`. Stores with different prefixes know nothing of each other. */
  readonly prefix?: string;
  /** How long a command may take. Default 2,000 ms. */
  readonly deadlineMs?: number;
} & (
  | {
      /** Makes a client of its own, closed with the store: `redis://[user:password@]host[:port][/db]` or `rediss://`. */
      readonly url: string;
    }
  | {
      /**
       * An ioredis `Redis` or `Cluster` of yours (ioredis 5 or 6). It is never closed from here, and never reconnected:
       * set `socketTimeout` (5,000 ms, say), or a connection that died without a word fails every command for minutes;
       * and `enableOfflineQueue: false`, `maxRetriesPerRequest: 0`, `autoResendUnfulfilledCommands: false`, or commands
       * run long after they have failed here.
       */
      readonly client: RedisClient;
    }
);

/** ioredis would throw at one that can't be parsed, when it connects. */
function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text)) return false;
  try {
    const { username, password } = new URL(text);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

const optionsSchema = z.strictObject({
  prefix: z._default(
    z
      .string({ error: 'text' })
      .check(z.regex(/^[A-Za-z0-9_.:-]{1,64}$/, { error: 'text of 1 to 64 characters A-Z a-z 0-9 _ . : -' })),
    'event-sessions',
  ),
  deadlineMs: z._default(timerMs(), 2_000),
  url: z.optional(
    z
      .string({ error: 'a redis:// or rediss:// URL' })
      .check(z.refine(isRedisUrl, { error: 'a redis:// or rediss:// URL' })),
  ),
  client: z.optional(withMethods<RedisClient>('an ioredis Redis or Cluster', 'evalsha', 'eval')),
});

/**
 * Sessions in Redis 6.2 or later: one node, Sentinel or Cluster. Durable as far as Redis is: run it with
 * `appendonly yes` and `maxmemory-policy noeviction`.
 *
 * @throws `INVALID_INPUT` for options of the wrong type.
 */
export function redisStore(options: RedisStoreOptions): SessionStore {
  const { prefix, deadlineMs, url, client } = validate(optionsSchema, options, 'The options of redisStore');
  if ((url === undefined) === (client === undefined)) {
    throw new EventSessionsError('INVALID_INPUT', 'redisStore needs either a url or a client, and not both');
  }
  const source = client === undefined ? ownClient(url as string, deadlineMs) : borrowedClient(client);
  const redis = createConnection(source, deadlineMs);
  const committing = committingSessions();
  const index = createSessionIndex(redis, `${prefix}:index`);

  const keysOf = (sessionId: string) => {
    const base = `${prefix}:{${sessionId}}`;
    return [base, `${base}:events`, `${base}:ids`];
  };

  async function run(
    script: scripts.Script,
    sessionId: string,
    ...args: (string | number)[]
  ): Promise<Reply> {
    appends.flush(sessionId);
    return (await redis.run(script, keysOf(sessionId), args)) as Reply;
  }

  const appends = appendQueue(async (sessionId, given, { maxSessionEvents, maxSessionBytes }, asOf) => {
    const { ids, elements, bytes, largest, positions } = withoutRepeats(given);
    const limits = [maxSessionEvents, maxSessionBytes] as const;
    const keys = keysOf(sessionId);
    const run = runOf(ids);
    let reply: Reply = ['other'];
    if (run !== undefined) {
      const args = [
        `w:${run.prefix}`,
        asOf ?? '',
        run.first,
        ids.length,
        ...limits,
        bytes,
        largest,
        ...elements,
      ];
      reply = (await redis.run(scripts.APPEND_RUN, keys, args)) as Reply;
    }
    if (reply[0] === 'other') {
      const args = ['', asOf ?? '', ...limits, ids.length, ids.some(isWriters) ? 1 : 0, ...ids, ...elements];
      reply = (await redis.run(scripts.APPEND, keys, args)) as Reply;
    }
    const [outcome, second, known = ''] = reply;
    if (outcome === 'limit_exceeded') return { outcome, limit: second as 'events' | 'bytes' };
    if (outcome !== 'appended') return refusal(reply);
    const events = Number(second);
    if (known === '' && ids.length === given.length) return { outcome, duplicates: [], events };
    const old = new Set((known === '' ? [] : known.split(',')).map((position) => ids[Number(position)]));
    const duplicates = given.flatMap(({ id }, i) => (old.has(id) || positions.get(id) !== i ? [i] : []));
    return { outcome, duplicates, events } satisfies AppendOutcome;
  });

  const get = async (sessionId: string): Promise<RedisSessionRecord | undefined> => {
    const [status, hash] = await run(scripts.GET, sessionId);
    return status === 'not_found'
      ? undefined
      : toRecord(sessionId, status as SessionStatus, hash as unknown as (string | null)[]);
  };

  return {
    async start({ sessionId, metadata, ttlMs, cause }) {
      await index.add(sessionId, ttlMs);
      const [outcome, status] = await run(scripts.START, sessionId, metadata, ttlMs, causeJson(cause));
      return outcome === 'created' ? { outcome } : { outcome: 'exists', status: status as SessionStatus };
    },

    append: appends.append,

    async extend(sessionId, ttlMs) {
      const reply = await run(scripts.EXTEND, sessionId, ttlMs ?? '');
      if (reply[0] !== 'extended') return refusal(reply);
      await index.hasten(sessionId, Number(reply[2]));
      return { outcome: 'extended', expiresAt: Number(reply[1]) };
    },

    async beginCommit(sessionId, { attemptId, leaseMs, expectedEvents, asOf, cause }) {
      const args = [attemptId, leaseMs, expectedEvents ?? '', causeJson(cause), asOf ?? ''];
      // Sent together, the index first: the entry may have been lost, by a failover or an eviction.
      const hastened = index.hasten(sessionId, leaseMs);
      const reply = await run(scripts.BEGIN_COMMIT, sessionId, ...args);
      const undo = await hastened;
      if (reply[0] === 'not_found') await undo?.();
      if (reply[0] === 'committed') await index.remove(sessionId);
      if (reply[0] === 'granted') committing.begun(sessionId, Number(reply[5]));
      return toBeginCommitOutcome(reply);
    },

    async advance(sessionId, { epoch, cursor, deferred, leaseMs }) {
      return fenced(await run(scripts.ADVANCE, sessionId, epoch, cursor, deferred, leaseMs));
    },

    async finishCommit(sessionId, { epoch, cursor, deferred, receipt, retentionMs, cause }) {
      const args = [epoch, cursor, deferred, JSON.stringify(receipt), retentionMs, causeJson(cause)];
      const outcome = fenced(await run(scripts.FINISH_COMMIT, sessionId, ...args));
      committing.ended(sessionId);
      if (outcome.outcome === 'done') await index.remove(sessionId);
      return outcome;
    },

    async releaseCommit(sessionId, epoch) {
      committing.ended(sessionId);
      const outcome = fenced(await run(scripts.RELEASE_COMMIT, sessionId, epoch));
      if (outcome.outcome === 'done') await index.hasten(sessionId, 0);
      return outcome;
    },

    async rollback(sessionId, { retentionMs, asOf, cause }) {
      const reply = await run(scripts.ROLLBACK, sessionId, retentionMs, causeJson(cause), asOf ?? '');
      if (reply[0] !== 'rolled_back') return refusal(reply);
      await index.remove(sessionId);
      return { outcome: 'rolled_back', discarded: Number(reply[1]), repeated: reply[2] === '1' };
    },

    async expire(sessionId, { retentionMs, graceMs, cause }) {
      const args = [retentionMs, causeJson(cause), graceMs];
      const [outcome, discarded] = await run(scripts.EXPIRE, sessionId, ...args);
      if (outcome !== 'expired') return { outcome: outcome as 'not_due' | 'not_found' };
      await index.remove(sessionId);
      return { outcome, discarded: Number(discarded) };
    },

    get,

    async read(sessionId, { after, limit, maxBytes }) {
      const largest = redis.hasRange ? committing.largestOf(sessionId) : undefined;
      if (largest !== undefined && limit * largest <= maxBytes) {
        const [, list = ''] = keysOf(sessionId);
        return toPage(await redis.range(list, after, after + limit - 1), after, maxBytes);
      }
      const elements = await run(scripts.READ, sessionId, after, limit, maxBytes);
      return elements.map((element, i) => toStoredEvent(element, after + i + 1));
    },

    async contains(sessionId, eventIds) {
      const known: boolean[] = [];
      for (let from = 0; from < eventIds.length; from += 1_000) {
        const flags = await run(scripts.CONTAINS, sessionId, ...eventIds.slice(from, from + 1_000));
        known.push(...flags.map((flag) => Number(flag) === 1));
      }
      return known;
    },

    list: ({ status, cursor, limit }) => index.list(get, status, cursor, limit),
    due: (limit) => index.due(get, limit),
    countActive: () => index.count(),

    async ping() {
      await redis.run(scripts.PING, [`${prefix}:index`], []);
    },
    close: () => redis.close(),
  };
}

type Reply = readonly [string, ...string[]];

/** The tail of a history line; the script puts the status and the time before it. */
function causeJson({ instance, reason }: Cause): string {
  return JSON.stringify({ instance, reason }).slice(1);
}

function withoutRepeats(events: readonly AcceptedEvent[]) {
  const positions = new Map<string, number>();
  const ids: string[] = [];
  const elements: string[] = [];
  let bytes = 0;
  let largest = 0;
  events.forEach(({ id, topic, json }, i) => {
    if (positions.has(id)) return;
    positions.set(id, i);
    ids.push(id);
    elements.push(`${topic} ${json}`);
    const size = Buffer.byteLength(json);
    bytes += size;
    if (size > largest) largest = size;
  });
  return { ids, elements, bytes, largest, positions };
}

function refusal([outcome, status]: Reply): NotOpen | NotFound {
  return outcome === 'not_open' ? { outcome, status: status as NotOpen['status'] } : { outcome: 'not_found' };
}

function fenced([outcome]: Reply): FencedOutcome {
  return { outcome: outcome as FencedOutcome['outcome'] };
}

function toBeginCommitOutcome(reply: Reply): BeginCommitOutcome {
  const [outcome, a, b, c, d] = reply;
  switch (outcome) {
    case 'granted':
      return { outcome, epoch: Number(a), cursor: Number(b), deferred: Number(c), events: Number(d) };
    case 'in_progress':
      return { outcome, retryAfterMs: Number(a) };
    case 'committed':
      return { outcome, receipt: JSON.parse(a as string) };
    case 'mismatch':
      return { outcome, events: Number(a) };
    case 'corrupt':
      return { outcome, counted: Number(a), found: Number(b) };
    default:
      return refusal(reply);
  }
}

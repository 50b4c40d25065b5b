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
import { borrowedClient, createConnection, ownClient, type RedisClient } from './redis-client.js';
import * as scripts from './scripts.js';
import { createSessionIndex } from './session-index.js';
import { toRecord, toStoredEvent } from './session-record.js';

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
      .check(z.regex(/^rediss?:\/\//, { error: 'a redis:// or rediss:// URL' })),
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
  const index = createSessionIndex(redis, `${prefix}:index`);

  async function run(
    script: scripts.Script,
    sessionId: string,
    ...args: (string | number)[]
  ): Promise<Reply> {
    const base = `${prefix}:{${sessionId}}`;
    return (await redis.run(script, [base, `${base}:events`, `${base}:ids`], args)) as Reply;
  }

  const get: SessionStore['get'] = async (sessionId) => {
    const [status, hash] = await run(scripts.GET, sessionId);
    return status === 'not_found'
      ? undefined
      : toRecord(sessionId, status as SessionStatus, hash as unknown as string[]);
  };

  return {
    async start({ sessionId, metadata, ttlMs, cause }) {
      await index.add(sessionId, ttlMs);
      const [outcome, status] = await run(scripts.START, sessionId, metadata, ttlMs, causeJson(cause));
      return outcome === 'created' ? { outcome } : { outcome: 'exists', status: status as SessionStatus };
    },

    async append(sessionId, events, limits) {
      const { ids, elements, bytes, positions } = withoutRepeats(events);
      const reply = await run(
        scripts.APPEND,
        sessionId,
        limits.maxSessionEvents,
        limits.maxSessionBytes,
        bytes,
        ids.length,
        ...ids,
        ...elements,
      );
      const [outcome, second, known = ''] = reply;
      if (outcome === 'limit_exceeded') return { outcome, limit: second as 'events' | 'bytes' };
      if (outcome !== 'appended') return refusal(reply);
      const old = new Set((known === '' ? [] : known.split(',')).map((position) => ids[Number(position)]));
      const duplicates = events.flatMap(({ id }, i) => (old.has(id) || positions.get(id) !== i ? [i] : []));
      return { outcome, duplicates, events: Number(second) } satisfies AppendOutcome;
    },

    async extend(sessionId, ttlMs) {
      const reply = await run(scripts.EXTEND, sessionId, ttlMs ?? '');
      if (reply[0] !== 'extended') return refusal(reply);
      await index.hasten(sessionId, Number(reply[2]));
      return { outcome: 'extended', expiresAt: Number(reply[1]) };
    },

    async beginCommit(sessionId, { attemptId, leaseMs, expectedEvents, cause }) {
      const args = [attemptId, leaseMs, expectedEvents ?? '', causeJson(cause)];
      // Sent together, the index first: the entry may have been lost, by a failover or an eviction.
      const hastened = index.hasten(sessionId, leaseMs);
      const reply = await run(scripts.BEGIN_COMMIT, sessionId, ...args);
      await hastened;
      if (reply[0] === 'committed') await index.remove(sessionId);
      return toBeginCommitOutcome(reply);
    },

    async advance(sessionId, { epoch, cursor, deferred, leaseMs }) {
      return fenced(await run(scripts.ADVANCE, sessionId, epoch, cursor, deferred, leaseMs));
    },

    async finishCommit(sessionId, { epoch, cursor, deferred, receipt, retentionMs, cause }) {
      const args = [epoch, cursor, deferred, JSON.stringify(receipt), retentionMs, causeJson(cause)];
      const outcome = fenced(await run(scripts.FINISH_COMMIT, sessionId, ...args));
      if (outcome.outcome === 'done') await index.remove(sessionId);
      return outcome;
    },

    async releaseCommit(sessionId, epoch) {
      const outcome = fenced(await run(scripts.RELEASE_COMMIT, sessionId, epoch));
      if (outcome.outcome === 'done') await index.hasten(sessionId, 0);
      return outcome;
    },

    async rollback(sessionId, { retentionMs, cause }) {
      const reply = await run(scripts.ROLLBACK, sessionId, retentionMs, causeJson(cause));
      if (reply[0] !== 'rolled_back') return refusal(reply);
      await index.remove(sessionId);
      return { outcome: 'rolled_back', discarded: Number(reply[1]), repeated: reply[2] === '1' };
    },

    async expire(sessionId, { retentionMs, cause }) {
      const [outcome, discarded] = await run(scripts.EXPIRE, sessionId, retentionMs, causeJson(cause));
      if (outcome !== 'expired') return { outcome: outcome as 'not_due' | 'not_found' };
      await index.remove(sessionId);
      return { outcome, discarded: Number(discarded) };
    },

    get,

    async read(sessionId, { after, limit, maxBytes }) {
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
  events.forEach(({ id, topic, json }, i) => {
    if (positions.has(id)) return;
    positions.set(id, i);
    ids.push(id);
    elements.push(`${topic} ${json}`);
    bytes += Buffer.byteLength(json);
  });
  return { ids, elements, bytes, positions };
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

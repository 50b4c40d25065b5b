import * as z from 'zod/mini';
import { EventSessionsError, ignoringUntilAwaited, messageOf } from '../../core/errors.js';
import type { Cause, CommitReceipt } from '../../core/lifecycle.js';
import { timerMs, validate, withMethods } from '../../core/validate.js';
import type {
  BeginCommitOutcome,
  FencedOutcome,
  ReadRange,
  SessionStore,
} from '../../ports/session-store.js';
import { createAppend } from './append.js';
import { appendQueue } from './append-queue.js';
import { CONTAINS } from './append-scripts.js';
import { committingSessions } from './committing-sessions.js';
import { createConnection } from './connection.js';
import { PING } from './index-scripts.js';
import { toPage } from './list-elements.js';
import { ownClient } from './own-client.js';
import { borrowedClient, type RedisClient } from './redis-client.js';
import { isRedisUrl, REDIS_URL } from './redis-url.js';
import { answer, list, object, oneOf, unexpected, whole } from './replies.js';
import type { Script } from './script.js';
import { createSessionIndex, type GetSession } from './session-index.js';
import { type RedisSessionRecord, refusal, STATUSES, toRecord } from './session-record.js';
import * as scripts from './session-scripts.js';

export type RedisStoreOptions = {
  /** Prefix of every key. Default `event-sessions`. Stores with different prefixes do not see each other's sessions. */
  readonly prefix?: string | undefined;
  /** Milliseconds that a command may take before it fails with `STORE_UNAVAILABLE`. Default 2,000 ms. */
  readonly deadlineMs?: number | undefined;
} & (
  | {
      /**
       * `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS. The query may have `db`, `family` (4 or 6),
       * `username` and `password`, and no other option. The store makes a client of its own, and closes it with itself.
       */
      readonly url: string;
    }
  | {
      /**
       * A `Redis` or `Cluster` of yours, of ioredis 5 or 6. The store neither closes nor reconnects it. Set
       * `socketTimeout` (say, 5,000 ms), or commands on a connection that died silently fail for minutes. Set
       * `enableOfflineQueue: false`, `maxRetriesPerRequest: 0` and `autoResendUnfulfilledCommands: false`, or commands
       * run long after they failed here.
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
  url: z.optional(z.string({ error: REDIS_URL }).check(z.refine(isRedisUrl, { error: REDIS_URL }))),
  client: z.optional(withMethods<RedisClient>('an ioredis Redis or Cluster', 'evalsha', 'eval')),
});

/**
 * Sessions in Redis 6.2 or later: one node, Sentinel or Cluster. Durable as far as Redis is: run it with
 * `appendonly yes` and `maxmemory-policy noeviction`.
 *
 * @throws `INVALID_INPUT` for an invalid option.
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

  function send(script: Script, sessionId: string, ...args: (string | number)[]): Promise<unknown> {
    const command = () => redis.run(script, keysOf(sessionId), args);
    return appends.answered(sessionId)?.then(command) ?? command();
  }

  const run = async (...command: Parameters<typeof send>) => answer(await send(...command));

  const appends = appendQueue(createAppend(redis, keysOf), redis.inOneWrite, deadlineMs);

  const get = async (sessionId: string): Promise<RedisSessionRecord | undefined> => {
    const [status, hash] = await run(scripts.GET, sessionId);
    return status === 'not_found' ? undefined : toRecord(sessionId, status, hash);
  };

  const ping = async (key: string) => {
    whole(await redis.run(PING, [key], []), 'what an empty write has changed');
  };

  /**
   * One session that cannot be read must not keep anybody from the others. @throws `STORE_UNAVAILABLE` if its server is
   * away.
   */
  const getIfReadable: GetSession = async (sessionId) => {
    try {
      return await get(sessionId);
    } catch {
      await ping(`${prefix}:{${sessionId}}:ping`);
      return 'unreadable';
    }
  };

  /** The elements that the range is in, and the number of the first. */
  async function elementsFor(sessionId: string, range: ReadRange) {
    const known = redis.hasRange ? committing.elementsFor(sessionId, range) : undefined;
    if (known !== undefined) {
      const { first, count } = known;
      const [, events = ''] = keysOf(sessionId);
      return { first, elements: await redis.range(events, first, first + count - 1) };
    }
    const { after, limit, maxBytes } = range;
    const hint = committing.elementBehind(sessionId, after) ?? '';
    const reply = await send(scripts.READ, sessionId, after, limit, maxBytes, hint);
    const [first, elements] = list(reply, 'a page', 2);
    return { first: whole(first, 'the number of an element'), elements };
  }

  return {
    async start({ sessionId, metadata, ttlMs, cause }) {
      try {
        const undo = await index.add(sessionId, ttlMs);
        const reply = await run(scripts.START, sessionId, metadata, ttlMs, causeJson(cause));
        const [outcome] = reply;
        if (outcome === 'created') return { outcome };
        if (outcome !== 'exists') throw unexpected('an outcome of a start', outcome);
        const [status, kept] = [oneOf(STATUSES, reply[1], 'a status'), oneOf(STATUSES, reply[2], 'a status')];
        // An entry that was there may be another start's of this id, which has yet to begin.
        if (kept !== 'open' && kept !== 'committing')
          await (undo === undefined ? index.hasten(sessionId, 0) : undo());
        return { outcome, status };
      } catch (error) {
        // The session may never begin: that is found out by the next look at its entry, not only at its expiry.
        void index.hasten(sessionId, 0);
        throw error;
      }
    },

    append: appends.append,

    async extend(sessionId, ttlMs) {
      // Sent together, the index first: it must not stay behind an earlier expiry. What is too early is set right by
      // the next look.
      const hastened = index.hasten(sessionId, ttlMs ?? 0);
      const reply = await run(scripts.EXTEND, sessionId, ttlMs ?? '');
      const undo = await hastened;
      if (reply[0] === 'extended') return { outcome: 'extended', expiresAt: whole(reply[1], 'an expiry') };
      await undo?.();
      return refusal(reply, 'an extend');
    },

    async beginCommit(sessionId, { attemptId, leaseMs, expectedEvents, asOf, cause }) {
      const args = [attemptId, leaseMs, expectedEvents ?? '', causeJson(cause), asOf ?? ''];
      // Sent together, the index first: the entry may have been lost, by a failover or an eviction.
      const hastened = ignoringUntilAwaited(index.add(sessionId, leaseMs));
      const reply = await run(scripts.BEGIN_COMMIT, sessionId, ...args);
      const outcome = toBeginCommitOutcome(reply);
      const undo = await hastened.catch((error: unknown) => {
        // Whoever has to finish it would find it only when its session would have run out.
        if (outcome.outcome === 'granted') throw maybeDone(error);
        return undefined;
      });
      const isRolledBack = outcome.outcome === 'not_open' && outcome.status === 'rolled_back';
      if (outcome.outcome === 'not_found' || isRolledBack) await undo?.();
      if (outcome.outcome === 'committed') await index.remove(sessionId);
      if (outcome.outcome === 'granted')
        committing.begun(sessionId, {
          events: outcome.events,
          elements: whole(reply[5], 'the elements of the list'),
          largest: whole(reply[6], 'the bytes of an element'),
        });
      else if (outcome.outcome !== 'in_progress') committing.ended(sessionId);
      return outcome;
    },

    async advance(sessionId, { epoch, cursor, deferred, leaseMs }) {
      const outcome = fenced(await run(scripts.ADVANCE, sessionId, epoch, cursor, deferred, leaseMs));
      if (outcome.outcome !== 'done') committing.ended(sessionId);
      return outcome;
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
      if (reply[0] !== 'rolled_back') return refusal(reply, 'a rollback');
      const discarded = whole(reply[1], 'the events of the session');
      const repeated = whole(reply[2], 'whether it is repeated') === 1;
      await index.remove(sessionId);
      return { outcome: 'rolled_back', discarded, repeated };
    },

    async expire(sessionId, { retentionMs, graceMs, cause }) {
      const args = [retentionMs, causeJson(cause), graceMs];
      const [outcome, events] = await run(scripts.EXPIRE, sessionId, ...args);
      if (outcome !== 'expired') return { outcome: oneOf(NOT_EXPIRED, outcome, 'an outcome of an expire') };
      const discarded = whole(events, 'the events of the session');
      await index.remove(sessionId);
      return { outcome, discarded };
    },

    get,

    async read(sessionId, range) {
      const { first, elements } = await elementsFor(sessionId, range);
      const { events, next } = toPage(sessionId, elements, first, range);
      committing.hasRead(sessionId, {
        after: range.after + events.length,
        events: events.length,
        elements: next - first + 1,
        next,
      });
      return events;
    },

    async contains(sessionId, eventIds) {
      const known: boolean[] = [];
      for (let from = 0; from < eventIds.length; from += 1_000) {
        const asked = eventIds.slice(from, from + 1_000);
        const expected = `an array of ${asked.length} flags`;
        const flags = list(await send(CONTAINS, sessionId, ...asked), expected);
        if (flags.length !== asked.length) throw unexpected(expected, flags);
        known.push(...flags.map((flag) => whole(flag, 'a flag') === 1));
      }
      return known;
    },

    list: ({ status, cursor, limit }) => index.list(getIfReadable, status, cursor, limit),
    due: (limit) => index.due(getIfReadable, limit),
    countActive: () => index.count(),

    ping: () => ping(`${prefix}:index`),
    close: () => redis.close(),
  };
}

const NOT_EXPIRED = ['not_due', 'not_found'] as const;
const FENCED = ['done', 'stale', 'not_found'] as const;

/** The tail of a history line; the script puts the status and the time before it. */
function causeJson({ instance, reason }: Cause): string {
  return JSON.stringify({ instance, reason }).slice(1);
}

function maybeDone(error: unknown): EventSessionsError {
  return new EventSessionsError('STORE_UNAVAILABLE', messageOf(error), { outcome: 'unknown' }, error);
}

function fenced([outcome]: readonly unknown[]): FencedOutcome {
  return { outcome: oneOf(FENCED, outcome, 'an outcome of a step of a commit') };
}

function toBeginCommitOutcome(reply: readonly unknown[]): BeginCommitOutcome {
  const [outcome, a, b, c, d] = reply;
  switch (outcome) {
    case 'granted':
      return {
        outcome,
        epoch: whole(a, 'an epoch'),
        cursor: whole(b, 'a cursor'),
        deferred: whole(c, 'the deferred events'),
        events: whole(d, 'the events of the session'),
      };
    case 'in_progress':
      return { outcome, retryAfterMs: whole(a, 'the rest of a lease') };
    case 'committed':
      return { outcome, receipt: toReceipt(a) };
    case 'mismatch':
      return { outcome, events: whole(a, 'the events of the session') };
    case 'corrupt':
      return { outcome, counted: whole(a, 'the events counted'), found: whole(b, 'the events found') };
    default:
      return refusal(reply, 'a commit');
  }
}

function toReceipt(reply: unknown): CommitReceipt {
  const receipt = object(reply, 'a receipt');
  const { sessionId, status, events, published, deferred, durationMs } = receipt;
  const isReceipt =
    typeof sessionId === 'string' &&
    status === 'committed' &&
    [events, published, deferred, durationMs].every((number) => typeof number === 'number');
  if (!isReceipt) throw unexpected('a receipt', reply);
  return receipt as unknown as CommitReceipt;
}

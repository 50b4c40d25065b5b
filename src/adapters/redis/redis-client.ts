import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { EventSessionsError, type FailureOutcome, messageOf } from '../../core/errors.js';
import { createDeadlines } from './deadlines.js';
import { replyGuard } from './reply-guard.js';
import type { Script } from './script.js';

/** The part of an ioredis client that is used: a `Redis` (also over Sentinel) or a `Cluster`, of ioredis 5 or 6. */
export interface RedisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  eval(lua: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  /** A commit reads with it what it publishes; without it, by a script and as text. */
  lrangeBuffer?(key: string, start: number, stop: number): Promise<Buffer[]>;
  /** A `Cluster` with `scaleReads` may send a plain read to a replica. */
  readonly options?: object | undefined;
  /** Of a `Redis` that is connected: commands of one turn go out in fewer writes. */
  readonly stream?: Corkable | undefined;
}

interface Corkable {
  cork(): void;
  uncork(): void;
}

export interface RedisConnection {
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Elements of a list, as bytes. Only if `hasRange`. */
  range(key: string, start: number, stop: number): Promise<readonly Buffer[]>;
  readonly hasRange: boolean;
  /** What the work sends goes to the socket at once, where the client has one. */
  inOneWrite(work: () => void): void;
  close(): Promise<void>;
}

/**
 * Commands with a deadline, and their failures told apart. Nothing is ever sent twice, and nothing after its deadline:
 * what comes after `unknown` is the caller's decision.
 */
export function createConnection(source: ConnectionSource, deadlineMs: number): RedisConnection {
  const deadlines = createDeadlines(deadlineMs);

  /** `insteadOf` is sent when the first command failed in a way that it has a cure for; undefined when not. */
  function call<T>(
    command: (client: RedisClient) => Promise<T>,
    insteadOf?: (error: unknown) => typeof command | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let sentTo: RedisClient | undefined;
      let settled = false;
      const giveUp = () => {
        if (settled) return;
        if (sentTo !== undefined) source.unanswered(sentTo, deadline.begunAt);
        const message = `Redis did not answer within ${deadlineMs} ms`;
        const outcome: FailureOutcome = sentTo === undefined ? 'not_done' : 'unknown';
        failed(new EventSessionsError('STORE_UNAVAILABLE', message, { outcome }));
      };
      // What has arrived is read first: it may be this process that was too busy to look.
      const deadline = deadlines.begin(() => setImmediate(giveUp));
      const done = (value: T) => {
        settled = true;
        deadline.met();
        resolve(value);
      };
      const failed = (error: unknown) => {
        settled = true;
        deadline.met();
        if (sentTo !== undefined && DEMOTED.test(errorReplyOf(error))) source.demoted(sentTo);
        reject(toStoreError(error, source.resends));
      };
      const send = (client: RedisClient) => {
        if (settled) return;
        sentTo = client;
        attempt(client, command).then(done, (error: unknown) => {
          const cure = settled ? undefined : insteadOf?.(error);
          if (cure === undefined) failed(error);
          else attempt(client, cure).then(done, failed);
        });
      };
      const client = source.client();
      if (client instanceof Promise) client.then(send).catch(failed);
      else send(client);
    });
  }

  return {
    run: ({ lua, sha }, keys, args) =>
      call(
        (client) => client.evalsha(sha, keys.length, ...keys, ...args),
        (error) =>
          isScriptMissing(error) ? (client) => client.eval(lua, keys.length, ...keys, ...args) : undefined,
      ),
    hasRange: source.hasRange,
    range: (key, start, stop) => call((client) => client.lrangeBuffer?.(key, start, stop) ?? noRange()),
    inOneWrite(work) {
      const stream = source.stream();
      stream?.cork();
      try {
        work();
      } finally {
        stream?.uncork();
      }
    },
    close: () => source.close(),
  };
}

function noRange(): Promise<never> {
  return Promise.reject(new Error('the client has no lrangeBuffer'));
}

/** A client that was handed in may throw at once, or answer something that is no promise. */
function attempt<T>(client: RedisClient, command: (client: RedisClient) => Promise<T>): Promise<T> {
  try {
    return Promise.resolve(command(client));
  } catch (error) {
    return Promise.reject(error);
  }
}

export interface ConnectionSource {
  readonly hasRange: boolean;
  /** The client may send a command again whose reply was lost: then the answer is that to the last time. */
  readonly resends: boolean;
  /** A client that is ready to take commands; a promise if it must first connect. */
  client(): RedisClient | Promise<RedisClient>;
  /** Of a client that is connected, if it has one. */
  stream(): Corkable | undefined;
  /** The client has left a command without an answer since then (of `performance.now()`), for the whole deadline. */
  unanswered(client: RedisClient, since: number): void;
  /** The server behind the client has become a replica. */
  demoted(client: RedisClient): void;
  close(): Promise<void>;
}

interface BorrowedOptions {
  readonly autoResendUnfulfilledCommands?: boolean | undefined;
  /** Of a `Cluster`, as the next two. */
  readonly scaleReads?: unknown;
  readonly retryDelayOnFailover?: number | undefined;
  readonly clusterNodeRetryStrategy?: unknown;
}

/**
 * A client that the user made and will close. Its own queueing, retrying and reconnecting is its own business.
 *
 * If it reads from replicas, only scripts will do, which go to the master: a replica that lags behind would make an
 * acknowledged event look like a lost one.
 */
export function borrowedClient(client: RedisClient): ConnectionSource {
  const options = (client.options ?? {}) as BorrowedOptions;
  const { scaleReads = 'master', retryDelayOnFailover = 0 } = options;
  return {
    hasRange: client.lrangeBuffer !== undefined && scaleReads === 'master',
    resends:
      options.autoResendUnfulfilledCommands === true ||
      retryDelayOnFailover > 0 ||
      typeof options.clusterNodeRetryStrategy === 'function',
    client: () => client,
    stream: () => (typeof client.stream?.cork === 'function' ? client.stream : undefined),
    unanswered() {},
    demoted() {},
    close: async () => {},
  };
}

/**
 * A client of our own, connected at the first command.
 *
 * ioredis would queue commands while it is offline and run them after they have timed out, resend commands whose
 * reply was lost, and reconnect on a timer that keeps the process alive. All of that is off: a lost connection is
 * made anew by the next command, and an idle one does not hold the process.
 *
 * A connection can die without a word: a firewall forgets it, a host vanishes. So one on which nothing at all has
 * come back while a command waited for its whole deadline is given up, and all that is in flight on it with it. A
 * server that is only slow, with answers still coming in, keeps its connection. And a server that has become a replica
 * keeps its connections, while the name in the URL leads to another master: so they are left as well. What a
 * {@link replyGuard} objects to, or ioredis calls an error, ends a connection at once.
 */
export function ownClient(url: string, deadlineMs: number): ConnectionSource {
  let current: OwnConnection | undefined;
  let closed = false;
  return {
    hasRange: true,
    resends: false,
    client() {
      if (closed) return hasBeenClosed();
      // A connection is used once: behind its end there is another one, with its own clock and its own errors.
      if (current === undefined || current.isOver()) current = openConnection(url, deadlineMs);
      const { redis, ready } = current;
      return current.isReady() ? redis : ready.then(() => redis);
    },
    stream: () => (current?.isOver() === false ? current.redis.stream : undefined),
    unanswered(client, since) {
      if (current?.redis === client && current.heardAt() < since) current.abandon();
    },
    demoted(client) {
      if (current?.redis === client) current.leave();
    },
    async close() {
      closed = true;
      current?.redis.disconnect();
    },
  };
}

function hasBeenClosed(): Promise<never> {
  const message = 'The Redis store has been closed';
  return Promise.reject(new EventSessionsError('STORE_UNAVAILABLE', message, { outcome: 'not_done' }));
}

/** A connection may take longer than a short deadline: a command that waits for it fails, and the next one has it. */
const MIN_CONNECT_MS = 2_000;

interface OwnConnection {
  readonly redis: Redis;
  /** Rejects with `STORE_UNAVAILABLE`. */
  readonly ready: Promise<void>;
  isReady(): boolean;
  /** When something last came in. */
  heardAt(): number;
  /** Ends it, and rejects what is in flight. */
  abandon(): void;
  /** Ends it for new commands; what is in flight may still be answered. */
  leave(): void;
  isOver(): boolean;
}

const OWN_OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  /**
   * It would wait for a server that is loading, with a timer that holds the process, and complain on the console where
   * INFO is forbidden.
   */
  enableReadyCheck: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => null,
  /** Of ioredis 6: RESP2, as ioredis 5. */
  protocol: 2,
} as const;

/** What ioredis 5 and 6 have, and do not declare. */
interface InnerRedis {
  readonly stream?: Socket;
  /** Commands that were sent and have no reply yet. */
  readonly commandQueue: { readonly length: number };
  /** Rejects them. */
  flushQueue(error: Error): void;
}

function silence(): Error {
  return new Error('it does not answer');
}

function openConnection(url: string, deadlineMs: number): OwnConnection {
  const redis = new Redis(url, OWN_OPTIONS);
  const inner = redis as unknown as InnerRedis;
  let heardAt = 0;
  let over = false;
  let isReady = false;
  let firstError: Error | undefined;

  const abandon = (reason: Error) => {
    over = true;
    firstError ??= reason;
    inner.flushQueue(reason);
    // `disconnect()` would wait for the other end.
    inner.stream?.destroy();
  };

  redis.on('error', abandon);
  redis.on('connect', () => {
    const { stream } = inner;
    if (stream === undefined) return;
    stream.unref();
    const guard = replyGuard();
    const parsers = stream.listeners('data');
    stream.removeAllListeners('data');
    stream.on('data', (chunk: Buffer) => {
      heardAt = performance.now();
      const objection = guard.objectionTo(chunk, inner.commandQueue.length);
      if (objection !== undefined) abandon(objection);
      else for (const parse of parsers) parse.call(stream, chunk);
    });
  });

  const leave = () => {
    over = true;
    redis.disconnect();
  };

  const isOver = () => over || redis.status === 'end';

  async function connect(): Promise<void> {
    // The connect timeout of ioredis ends with the handshake of TCP or TLS, and Redis may hang behind it.
    const timer = setTimeout(() => abandon(silence()), Math.max(deadlineMs, MIN_CONNECT_MS));
    try {
      await redis.connect();
      // Whatever it answers, the answers to AUTH and SELECT come before: nothing is sent to another database.
      await redis.ping().catch(() => {});
      if (isOver()) throw new Error('the connection is closed');
      isReady = true;
    } catch (error) {
      const cause = firstError ?? error;
      const message = `Redis cannot be reached: ${messageOf(cause)}`;
      throw new EventSessionsError('STORE_UNAVAILABLE', message, { outcome: 'not_done' }, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    redis,
    ready: connect(),
    isReady: () => isReady,
    heardAt: () => heardAt,
    abandon: () => abandon(silence()),
    leave,
    isOver,
  };
}

function isScriptMissing(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

// Replies with which Redis says that it has not carried out the command.
const REFUSALS =
  /^(READONLY|OOM|MISCONF|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|TRYAGAIN)\b/;
const DEMOTED = /^(READONLY|MASTERDOWN)\b/;
/**
 * What Redis before 7 puts before the code of an error within a script: `@user_script:8: @user_script: 8: -READONLY …`.
 * Only of those with which it refuses the first write of a script, and so all of it.
 */
const PLACE_IN_SCRIPT =
  /^ERR Error running script \(call to f_[0-9a-f]{40}\): (@user_script: ?\d+: )+-?(?=(READONLY|OOM|MISCONF)\b)/;
const NEVER_SENT =
  /enableOfflineQueue options is false|ClusterAllFailedError|None of startup nodes is available/;

/** The text of an error, with the code of Redis first if it has one. */
function errorReplyOf(error: unknown): string {
  return messageOf(error).replace(PLACE_IN_SCRIPT, '');
}

function toStoreError(error: unknown, mayBeResent: boolean): EventSessionsError {
  if (error instanceof EventSessionsError) return error;
  const message = messageOf(error);
  const isNotDone = !mayBeResent && (REFUSALS.test(errorReplyOf(error)) || NEVER_SENT.test(message));
  const outcome = isNotDone ? 'not_done' : 'unknown';
  return new EventSessionsError('STORE_UNAVAILABLE', `Redis: ${message}`, { outcome }, error);
}

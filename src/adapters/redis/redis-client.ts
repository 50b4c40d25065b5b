import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { EventSessionsError, type FailureOutcome, messageOf } from '../../core/errors.js';
import type { Script } from './scripts.js';

/** The part of an ioredis client that is used: a `Redis` (also over Sentinel) or a `Cluster`, of ioredis 5 or 6. */
export interface RedisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  eval(lua: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
}

export interface RedisConnection {
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Commands with a deadline, and their failures told apart. Nothing is ever sent twice: what comes after `unknown` is
 * the caller's decision.
 */
export function createConnection(source: ConnectionSource, deadlineMs: number): RedisConnection {
  async function send(command: (client: RedisClient) => Promise<unknown>): Promise<unknown> {
    const begun = performance.now();
    const client = await within(deadlineMs, 'not_done', source.client());
    const left = Math.max(1, begun + deadlineMs - performance.now());
    try {
      return await within(left, 'unknown', command(client), () => source.unanswered(client, begun));
    } catch (error) {
      if (DEMOTED.test(messageOf(error))) source.demoted(client);
      throw error;
    }
  }

  async function within<T>(
    ms: number,
    outcome: FailureOutcome,
    promise: Promise<T>,
    whenLate = () => {},
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    let settled = false;
    const late = new Promise<never>((_, reject) => {
      const giveUp = () => {
        if (settled) return;
        whenLate();
        const message = `Redis did not answer within ${deadlineMs} ms`;
        reject(new EventSessionsError('STORE_UNAVAILABLE', message, { outcome }));
      };
      // What has arrived is read first: it may be this process that was too busy to look.
      timer = setTimeout(() => setImmediate(giveUp), ms);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      settled = true;
      clearTimeout(timer);
    }
  }

  return {
    async run({ lua, sha }, keys, args) {
      const keysAndArgs = [...keys, ...args];
      try {
        return await send((client) => client.evalsha(sha, keys.length, ...keysAndArgs)).catch((error) => {
          if (!isScriptMissing(error)) throw error;
          return send((client) => client.eval(lua, keys.length, ...keysAndArgs));
        });
      } catch (error) {
        throw toStoreError(error);
      }
    },
    close: () => source.close(),
  };
}

export interface ConnectionSource {
  /** A client that is ready to take commands. */
  client(): Promise<RedisClient>;
  /** The client has left a command without an answer since then (of `performance.now()`), for the whole deadline. */
  unanswered(client: RedisClient, since: number): void;
  /** The server behind the client has become a replica. */
  demoted(client: RedisClient): void;
  close(): Promise<void>;
}

/** A client that the user made and will close. Its own queueing, retrying and reconnecting is its own business. */
export function borrowedClient(client: RedisClient): ConnectionSource {
  return { client: async () => client, unanswered() {}, demoted() {}, close: async () => {} };
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
 * keeps its connections, while the name in the URL leads to another master: so they are left as well.
 */
export function ownClient(url: string, deadlineMs: number): ConnectionSource {
  let current: OwnConnection | undefined;
  return {
    async client() {
      // A connection is used once: behind its end there is another one, with its own clock and its own errors.
      if (current === undefined || current.isOver()) current = openConnection(url, deadlineMs);
      const { redis, ready } = current;
      if (redis.status !== 'ready') await ready;
      return redis;
    },
    unanswered(client, since) {
      if (current?.redis === client && current.heardAt() < since) current.abandon();
    },
    demoted(client) {
      if (current?.redis === client) current.leave();
    },
    async close() {
      current?.redis.disconnect();
    },
  };
}

/** A connection may take longer than a short deadline: a command that waits for it fails, and the next one has it. */
const MIN_CONNECT_MS = 2_000;

interface OwnConnection {
  readonly redis: Redis;
  /** Rejects with `STORE_UNAVAILABLE`. */
  readonly ready: Promise<void>;
  /** When something last came in. */
  heardAt(): number;
  /** Ends it: at once for new commands, and what is in flight is rejected a moment later. */
  abandon(): void;
  /** Ends it for new commands; what is in flight may still be answered. */
  leave(): void;
  isOver(): boolean;
}

function openConnection(url: string, deadlineMs: number): OwnConnection {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  const socket = () => (redis as unknown as { stream?: Socket }).stream;
  let heardAt = 0;
  let over = false;
  let lastError: unknown;
  redis.on('error', (error) => {
    lastError = error;
  });
  redis.on('connect', () => {
    socket()?.unref();
    socket()?.on('data', () => {
      heardAt = performance.now();
    });
  });
  const abandon = () => {
    over = true;
    // `disconnect()` would wait for the other end.
    socket()?.destroy(new Error('it does not answer'));
  };

  const leave = () => {
    over = true;
    redis.disconnect();
  };

  async function connect(): Promise<void> {
    // The connect timeout of ioredis ends with the handshake of TCP or TLS, and Redis may hang behind it.
    const timer = setTimeout(abandon, Math.max(deadlineMs, MIN_CONNECT_MS));
    try {
      await redis.connect();
    } catch (error) {
      const cause = lastError ?? error;
      const message = `Redis cannot be reached: ${messageOf(cause)}`;
      throw new EventSessionsError('STORE_UNAVAILABLE', message, { outcome: 'not_done' }, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    redis,
    ready: connect(),
    heardAt: () => heardAt,
    abandon,
    leave,
    isOver: () => over || redis.status === 'end',
  };
}

function isScriptMissing(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

// Replies with which Redis says that it has not carried out the command.
const REFUSALS =
  /^(READONLY|OOM|MISCONF|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|TRYAGAIN)\b/;
const DEMOTED = /^(READONLY|MASTERDOWN)\b/;
const NEVER_SENT =
  /enableOfflineQueue options is false|ClusterAllFailedError|None of startup nodes is available/;

function toStoreError(error: unknown): EventSessionsError {
  if (error instanceof EventSessionsError) return error;
  const message = messageOf(error);
  const outcome = REFUSALS.test(message) || NEVER_SENT.test(message) ? 'not_done' : 'unknown';
  return new EventSessionsError('STORE_UNAVAILABLE', `Redis: ${message}`, { outcome }, error);
}

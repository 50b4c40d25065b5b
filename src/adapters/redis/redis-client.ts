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
    const expiry = performance.now() + deadlineMs;
    const client = await within(deadlineMs, 'not_done', source.client());
    return within(Math.max(1, expiry - performance.now()), 'unknown', command(client));
  }

  async function within<T>(ms: number, outcome: FailureOutcome, promise: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `Redis did not answer within ${deadlineMs} ms`;
        reject(new EventSessionsError('STORE_UNAVAILABLE', message, { outcome }));
      }, ms);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
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
  close(): Promise<void>;
}

/** A client that the user made and will close. Its own queueing and retrying is its own business. */
export function borrowedClient(client: RedisClient): ConnectionSource {
  return { client: async () => client, close: async () => {} };
}

/**
 * A client of our own, connected at the first command.
 *
 * ioredis would queue commands while it is offline and run them after they have timed out, resend commands whose
 * reply was lost, and reconnect on a timer that keeps the process alive. All of that is off: a lost connection is
 * made anew by the next command, and an idle one does not hold the process.
 */
export function ownClient(url: string): ConnectionSource {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let connecting: Promise<void> | undefined;
  let lastError: unknown;
  redis.on('error', (error) => {
    lastError = error;
  });
  redis.on('connect', () => {
    (redis as unknown as { stream?: { unref?: () => void } }).stream?.unref?.();
  });

  return {
    async client() {
      if (redis.status !== 'ready') {
        connecting ??= redis.connect().finally(() => {
          connecting = undefined;
        });
        try {
          await connecting;
        } catch (error) {
          const cause = lastError ?? error;
          const message = `Redis cannot be reached: ${messageOf(cause)}`;
          throw new EventSessionsError('STORE_UNAVAILABLE', message, { outcome: 'not_done' }, cause);
        }
      }
      return redis;
    },
    async close() {
      redis.disconnect();
    },
  };
}

function isScriptMissing(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

// Replies with which Redis says that it has not carried out the command.
const REFUSALS =
  /^(READONLY|OOM|MISCONF|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|TRYAGAIN)\b/;
const NEVER_SENT =
  /enableOfflineQueue options is false|ClusterAllFailedError|None of startup nodes is available/;

function toStoreError(error: unknown): EventSessionsError {
  if (error instanceof EventSessionsError) return error;
  const message = messageOf(error);
  const outcome = REFUSALS.test(message) || NEVER_SENT.test(message) ? 'not_done' : 'unknown';
  return new EventSessionsError('STORE_UNAVAILABLE', `Redis: ${message}`, { outcome }, error);
}

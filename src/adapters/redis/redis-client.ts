import { Redis } from 'ioredis';
import { EventSessionsError, type FailureOutcome, messageOf } from '../../core/errors.js';
import type { Script } from './scripts.js';

/** The part of an ioredis client that is used: a `Redis` (also over Sentinel) or a `Cluster`, of ioredis 5 or 6. */
export interface RedisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  eval(lua: string, keyCount: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  /** A commit reads with it what it publishes; without it, by a script and as text. */
  lrangeBuffer?(key: string, start: number, stop: number): Promise<Buffer[]>;
}

export interface RedisConnection {
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Elements of a list, as bytes. Only if `hasRange`. */
  range(key: string, start: number, stop: number): Promise<readonly Buffer[]>;
  readonly hasRange: boolean;
  close(): Promise<void>;
}

/**
 * Commands with a deadline, and their failures told apart. Nothing is ever sent twice, and nothing after its deadline:
 * what comes after `unknown` is the caller's decision.
 */
export function createConnection(source: ConnectionSource, deadlineMs: number): RedisConnection {
  /** `insteadOf` is sent when the first command failed in a way that it has a cure for; undefined when not. */
  function call<T>(
    command: (client: RedisClient) => Promise<T>,
    insteadOf?: (error: unknown) => typeof command | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let outcome: FailureOutcome = 'not_done';
      let settled = false;
      const timer = setTimeout(() => {
        const message = `Redis did not answer within ${deadlineMs} ms`;
        failed(new EventSessionsError('STORE_UNAVAILABLE', message, { outcome }));
      }, deadlineMs);
      const done = (value: T) => {
        settled = true;
        clearTimeout(timer);
        resolve(value);
      };
      const failed = (error: unknown) => {
        settled = true;
        clearTimeout(timer);
        reject(toStoreError(error));
      };
      const send = (client: RedisClient) => {
        if (settled) return;
        outcome = 'unknown';
        command(client).then(done, (error: unknown) => {
          const cure = settled ? undefined : insteadOf?.(error);
          if (cure === undefined) failed(error);
          else cure(client).then(done, failed);
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
    close: () => source.close(),
  };
}

function noRange(): Promise<never> {
  return Promise.reject(new Error('the client has no lrangeBuffer'));
}

export interface ConnectionSource {
  readonly hasRange: boolean;
  /** A client that is ready to take commands; a promise if it must first connect. */
  client(): RedisClient | Promise<RedisClient>;
  close(): Promise<void>;
}

/** A client that the user made and will close. Its own queueing and retrying is its own business. */
export function borrowedClient(client: RedisClient): ConnectionSource {
  return { hasRange: client.lrangeBuffer !== undefined, client: () => client, close: async () => {} };
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

  async function connected(): Promise<RedisClient> {
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
    return redis;
  }

  return {
    hasRange: true,
    client: () => (redis.status === 'ready' ? redis : connected()),
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

import { EventSessionsError, type FailureOutcome } from '../../core/errors.js';
import { createDeadlines } from './deadlines.js';
import type { ConnectionSource, RedisClient } from './redis-client.js';
import { isDemotion, toStoreError } from './redis-failures.js';
import type { Script } from './script.js';

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
        if (sentTo !== undefined && isDemotion(error)) source.demoted(sentTo);
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

function isScriptMissing(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

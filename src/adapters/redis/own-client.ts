import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { EventSessionsError, messageOf } from '../../core/errors.js';
import type { ConnectionSource } from './redis-client.js';
import { replyGuard } from './reply-guard.js';

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

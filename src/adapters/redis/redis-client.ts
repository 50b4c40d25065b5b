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

export interface Corkable {
  cork(): void;
  uncork(): void;
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

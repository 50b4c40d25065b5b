import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningNsqd, startNsqd } from '../../test/support/nsqd.js';
import { type RunningRedis, startRedis } from '../../test/support/redis.js';
import { redisCommand } from '../../test/support/redis-node.js';

export interface Servers {
  readonly redis: RunningRedis;
  readonly nsqd: RunningNsqd;
  /** As at the start: nothing in Redis. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** A redis-server without persistence and an nsqd with default flags, of our own. */
export async function startServers(): Promise<Servers> {
  const redis = await startRedis();
  const nsqd = await startNsqd();
  return {
    redis,
    nsqd,
    clear: async () => {
      await redisCommand(redis.port, 'FLUSHALL');
    },
    async stop() {
      await Promise.all([redis.stop(), nsqd.stop()]);
    },
  };
}

export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'event-sessions-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startRedis } from './redis.js';
import { redisCommand } from './redis-node.js';
import { needs } from './services.js';

describe('a redis-server of a test', needs('redis'), () => {
  it('comes back empty on the same port after a restart', async () => {
    const redis = await startRedis();
    try {
      await redisCommand(redis.port, 'SET', 'a', '1');
      const before = redis.pid;
      await redis.restart();
      expect(redis.pid).not.toBe(before);
      expect(await redisCommand(redis.port, 'GET', 'a')).toBeNull();
    } finally {
      await redis.stop();
    }
  });

  it('keeps its data over a restart when it is told to write them', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'redis-test-'));
    const redis = await startRedis({ dir, args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    try {
      await redisCommand(redis.port, 'SET', 'a', '1');
      await redis.restart();
      expect(await redisCommand(redis.port, 'GET', 'a')).toBe('1');
      await redis.stop();
      expect(existsSync(dir)).toBe(true);
    } finally {
      await redis.stop();
      rmSync(dir, { recursive: true });
    }
  });

  it('can be stopped while it hangs, and twice', async () => {
    const redis = await startRedis();
    redis.signal('SIGSTOP');
    await redis.stop();
    await redis.stop();
    await expect(redisCommand(redis.port, 'PING')).rejects.toThrow();
  });

  it('takes only a port that is its own', async () => {
    const redis = await startRedis();
    try {
      await expect(startRedis({ port: redis.port })).rejects.toThrow(/ended|another server/);
    } finally {
      await redis.stop();
    }
  });
});

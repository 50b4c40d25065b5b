import { redisStore } from 'event-sessions/redis';
import { describe, expect, test } from 'vitest';

describe('a URL', () => {
  test.each([
    'redis://h',
    'rediss://h:6380/',
    'redis://u:p%23@[::1]:6379/15',
    'redis:///0',
    'redis://h?db=2&family=6',
    'redis://h/?username=u&password=a%0Ab',
  ])('%s is taken', async (url) => {
    await redisStore({ url }).close();
  });

  test.each([
    // ioredis would go to database 0, or 99, or 1.
    'redis://h/name',
    'redis://h/99x',
    'redis://h/1/2',
    'redis://h/-1',
    'redis://h?db=name',
    // It would go to host u, port 12.
    'redis://u:12#ss@h',
    'redis://u:12/ss@h',
    'redis://u:12?ss@h',
    // It would take these for options.
    'redis://h?enableOfflineQueue=true',
    'redis://h?autoResendUnfulfilledCommands=1',
    'redis://h?maxRetriesPerRequest=5',
    'redis://h?lazyConnect=',
    'redis://h?protocol=3',
    'redis://h?family=x',
    'redis://h?db=1&keyPrefix=a',
    'redis://h?__proto__=x',
  ])('%s is refused', (url) => {
    expect(() => redisStore({ url })).toThrow(
      expect.objectContaining({
        code: 'INVALID_INPUT',
        message: expect.stringContaining('url: expected a redis:// or rediss:// URL, as redis://'),
      }),
    );
  });
});

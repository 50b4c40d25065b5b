import { type RedisClient, redisStore } from 'event-sessions/redis';
import { sessionStoreCases } from 'event-sessions/testing';
import { Cluster, Redis } from 'ioredis';
import MockRedis from 'ioredis-mock';
import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis6';
import { describe, test } from 'vitest';
import { describeWith } from '../../support/services.js';

describe('redisStore on ioredis-mock conforms', () => {
  const cases = sessionStoreCases(async () => ({ store: redisStore({ client: mockWithClock() }) }));
  for (const { name, run } of cases) test(name, run);
});

describeWith('redis', ({ url }) => {
  const clients = {
    'a client of its own': () => ({ store: redisStore({ url }) }),
    'an ioredis 5 client': () => borrowed(new Redis(url)),
    'an ioredis 5 client with a key prefix and auto-pipelining': () =>
      borrowed(new Redis(url, { keyPrefix: 'app:', enableAutoPipelining: true })),
    'an ioredis 6 client': () => borrowed(new Redis6(url)),
  };
  for (const [client, make] of Object.entries(clients)) {
    describe(`redisStore with ${client} conforms`, () => {
      for (const { name, run } of sessionStoreCases(async () => make())) test(name, run);
    });
  }
});

describeWith('cluster', ({ nodes }) => {
  const clients = {
    'an ioredis 5 Cluster': () => borrowed(new Cluster(nodes)),
    'an ioredis 6 Cluster': () => borrowed(new Cluster6(nodes)),
  };
  for (const [client, make] of Object.entries(clients)) {
    describe(`redisStore with ${client} conforms`, () => {
      for (const { name, run } of sessionStoreCases(async () => make())) test(name, run);
    });
  }
});

/**
 * ioredis-mock 8.13 answers TIME with seconds that are rounded and microseconds of another clock, so that time jumps
 * back and forth by up to a second. Leases and expiries of milliseconds need a clock that works.
 */
function mockWithClock(): RedisClient {
  const mock = new MockRedis();
  return {
    async evalsha() {
      throw new Error('NOSCRIPT');
    },
    eval(lua, keyCount, ...args) {
      const now = Date.now();
      const time = `{'${Math.floor(now / 1_000)}', '${(now % 1_000) * 1_000}'}`;
      return mock.eval(lua.replace("redis.call('TIME')", time), keyCount, ...args.map(String));
    },
  };
}

function borrowed(client: Redis | Redis6 | Cluster | Cluster6) {
  return {
    store: redisStore({ client }),
    dispose: async () => client.disconnect(),
  };
}

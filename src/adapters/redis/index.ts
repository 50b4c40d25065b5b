/**
 * `event-sessions/redis`: sessions in Redis, over ioredis.
 *
 * @module
 */
export type { RedisClient } from './redis-client.js';
export { type RedisStoreOptions, redisStore } from './redis-store.js';

export { type RunningRedisCluster, startRedisCluster } from './redis-cluster.js';
export { type RedisOptions, type RunningRedis, startRedis } from './redis-node.js';

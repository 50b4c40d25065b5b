import type { TestProject } from 'vitest/node';
import { nsqdBinaries } from '../support/nsqd.js';
import { startRedis } from '../support/redis.js';
import type { Services } from '../support/services.js';

/** Each campaign starts its own servers; here it only shows whether there are any. */
export default async function setup({ provide }: TestProject): Promise<void> {
  await nsqdBinaries();
  const redis = await startRedis();
  await redis.stop();
  const services: Services = {
    missing: {},
    versions: { nsqd: '1.3.0', 'redis-server': redis.version },
  };
  provide('services', services);
}

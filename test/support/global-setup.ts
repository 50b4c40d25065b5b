import type { TestProject } from 'vitest/node';
import { startNsqd } from './nsqd.js';
import { prometheusBinaries } from './prometheus-binaries.js';
import { startRedis, startRedisCluster } from './redis.js';
import type { ServiceName, Services } from './services.js';

/** Starts what all tests share. A service that cannot start is left out with its reason; with CI set it is an error. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const services: Services = { missing: {}, versions: {} };
  const stops: (() => Promise<void>)[] = [];

  const starting: Record<ServiceName, () => Promise<void>> = {
    async redis() {
      const redis = await startRedis();
      stops.push(redis.stop);
      services.redis = { url: redis.url };
      services.versions['redis-server'] = redis.version;
    },
    async cluster() {
      const cluster = await startRedisCluster();
      stops.push(cluster.stop);
      services.cluster = { nodes: [...cluster.nodes] };
      services.versions['Redis Cluster'] = `${cluster.version} of ${cluster.nodes.length} nodes`;
    },
    async nsqd() {
      const slow = setTimeout(
        () => console.log(' nsqd takes long: the first time it is built with Go, in about a minute'),
        5_000,
      );
      const nsqd = await startNsqd().finally(() => clearTimeout(slow));
      stops.push(nsqd.stop);
      services.nsqd = { tcp: nsqd.tcp, http: nsqd.http };
      services.versions.nsqd = nsqd.version;
    },
    // Not started here: each test that needs one has its own target to scrape.
    async prometheus() {
      const { prometheus, promtool, version } = await prometheusBinaries();
      services.prometheus = { prometheus, promtool };
      services.versions.prometheus = version;
    },
  };
  const names = Object.keys(starting) as ServiceName[];
  const outcomes = await Promise.allSettled(names.map((name) => starting[name]()));
  for (const [index, name] of names.entries()) {
    const outcome = outcomes[index];
    if (outcome?.status === 'rejected') services.missing[name] = reasonOf(outcome.reason);
  }

  const stopAll = async () => {
    await Promise.all(stops.map((stop) => stop()));
  };
  const missing = Object.entries(services.missing).map(([name, reason]) => `\n  ${name}: ${reason}`);
  if (process.env.CI && missing.length > 0) {
    await stopAll();
    throw new Error(`With CI set every service is required, but missing are${missing.join('')}`);
  }
  provide('services', services);
  return stopAll;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

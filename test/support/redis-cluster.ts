import { fieldOf, type RunningRedis, redisCommand, startRedis } from './redis-node.js';

const MASTERS = 3;
const SLOTS = 16_384;

export interface RunningRedisCluster {
  /** What an ioredis `Cluster` takes as its start-up nodes. */
  readonly nodes: readonly { host: string; port: number }[];
  /** The servers behind `nodes`, in the same order, to be stopped, hung or killed one at a time. */
  readonly servers: readonly RunningRedis[];
  readonly version: string;
  stop(): Promise<void>;
}

/**
 * Starts three masters, no replicas, that share all slots, and waits until each of them says `cluster_state:ok`.
 * Takes about 3 s: Redis keeps a new master from serving for its first two.
 */
export async function startRedisCluster(): Promise<RunningRedisCluster> {
  const servers: RunningRedis[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const started = await Promise.allSettled(Array.from({ length: MASTERS }, startNode));
    for (const outcome of started) if (outcome.status === 'fulfilled') servers.push(outcome.value);
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    await join(servers);
    await untilServing(servers);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    servers,
    version: servers[0]?.version ?? '',
    stop,
  };
}

function startNode(): Promise<RunningRedis> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  return startRedis({ args: [...args, '--cluster-config-file', 'nodes.conf'] });
}

async function join(servers: readonly RunningRedis[]): Promise<void> {
  for (const [index, { port }] of servers.entries()) {
    const from = Math.ceil((index * SLOTS) / MASTERS);
    const until = Math.ceil(((index + 1) * SLOTS) / MASTERS);
    const slots = Array.from({ length: until - from }, (_, slot) => from + slot);
    // ADDSLOTSRANGE would be shorter, but Redis 6 has only this.
    await redisCommand(port, 'CLUSTER', 'ADDSLOTS', ...slots);
    await redisCommand(port, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  const [first, ...others] = servers;
  if (first === undefined) return;
  for (const { port } of others) await redisCommand(first.port, 'CLUSTER', 'MEET', '127.0.0.1', port);
}

async function untilServing(servers: readonly RunningRedis[]): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const infos = await Promise.all(servers.map(({ port }) => redisCommand(port, 'CLUSTER', 'INFO')));
    if (infos.every((info) => isServing(String(info)))) return;
    if (Date.now() > deadline) throw new Error(`the Redis cluster did not form:\n${infos.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function isServing(info: string): boolean {
  return (
    fieldOf(info, 'cluster_state') === 'ok' &&
    fieldOf(info, 'cluster_slots_ok') === String(SLOTS) &&
    fieldOf(info, 'cluster_known_nodes') === String(MASTERS)
  );
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningNsqd, startNsqd } from '../support/nsqd.js';
import { type RunningRedis, startRedis } from '../support/redis.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { TOPICS, WARM_UP } from './settings.js';

/** A server that can crash, with a proxy before it for each worker. */
export interface Target {
  readonly name: string;
  /** The way of each worker to it. */
  readonly proxies: ReadonlyMap<string, TcpProxy>;
  signal(signal: NodeJS.Signals): void;
  restart(): Promise<void>;
}

export interface Servers {
  readonly redis: RunningRedis;
  readonly nsqd: readonly RunningNsqd[];
  readonly targets: ReadonlyMap<string, Target>;
  /** Addresses by way of a worker's own proxies. */
  redisUrl(worker: string): string;
  nsqdAddresses(worker: string): string[];
  /** Every proxy passes everything again. */
  heal(): void;
  stop(): Promise<void>;
}

/**
 * Redis that has on disk what it has acknowledged, and two nsqd that do. What a kill -9 must not lose, neither may:
 * so nsqd has no queue in memory and notes down its position after every message.
 */
export async function startServers(folder: string, workers: readonly string[]): Promise<Servers> {
  const stops: (() => Promise<void>)[] = [];
  try {
    const dir = join(folder, 'redis');
    await mkdir(dir, { recursive: true });
    const redis = await startRedis({
      dir,
      args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
    });
    stops.push(redis.stop);
    const nsqd: RunningNsqd[] = [];
    for (const name of ['nsqd1', 'nsqd2']) {
      const dataPath = join(folder, name);
      await mkdir(dataPath, { recursive: true });
      const started = await startNsqd({
        dataPath,
        args: ['--mem-queue-size=0', '--sync-every=1', '--max-rdy-count=2500'],
      });
      stops.push(started.stop);
      nsqd.push(started);
      await warmUp(started);
    }

    const targets = new Map<string, Target>();
    const ports = { redis: redis.port, nsqd1: tcpPort(nsqd[0]), nsqd2: tcpPort(nsqd[1]) };
    for (const [name, port] of Object.entries(ports)) {
      const proxies = new Map<string, TcpProxy>();
      for (const worker of workers) {
        const proxy = await startTcpProxy({ host: '127.0.0.1', port });
        stops.push(proxy.close);
        proxies.set(worker, proxy);
      }
      const server = name === 'redis' ? redis : nsqd[name === 'nsqd1' ? 0 : 1];
      if (server === undefined) continue;
      targets.set(name, {
        name,
        proxies,
        signal: (signal) => server.signal(signal),
        restart: () => (server === redis ? redis.restart() : restartNsqd(server as RunningNsqd, proxies)),
      });
    }
    const proxyPort = (target: string, worker: string) =>
      targets.get(target)?.proxies.get(worker)?.port ?? ports[target as keyof typeof ports];
    return {
      redis,
      nsqd,
      targets,
      redisUrl: (worker) => `redis://127.0.0.1:${proxyPort('redis', worker)}`,
      nsqdAddresses: (worker) => ['nsqd1', 'nsqd2'].map((name) => `127.0.0.1:${proxyPort(name, worker)}`),
      heal() {
        for (const { proxies } of targets.values()) {
          for (const proxy of proxies.values()) {
            proxy.cut();
            proxy.delayMs = 0;
            proxy.mode = 'pass';
          }
        }
      },
      stop: () => stopAll(stops),
    };
  } catch (error) {
    await stopAll(stops);
    throw error;
  }
}

const tcpPort = (nsqd: RunningNsqd | undefined) => Number(nsqd?.tcp.split(':')[1]);

async function stopAll(stops: (() => Promise<void>)[]): Promise<void> {
  await Promise.allSettled(stops.splice(0).map((stop) => stop()));
}

/**
 * After a crash nsqd goes on in a new file, and remembers that only once it has noted down its position. A second
 * crash before would let it begin the same file again, over what it had acknowledged. That is its own weakness and not
 * what is tested here: so nobody gets to it before it has stored two messages of no meaning, and noted the first.
 */
async function restartNsqd(nsqd: RunningNsqd, proxies: ReadonlyMap<string, TcpProxy>): Promise<void> {
  const before = [...proxies.values()].map((proxy) => ({ proxy, mode: proxy.mode }));
  for (const { proxy } of before) {
    proxy.mode = 'refuse';
    proxy.cut();
  }
  await nsqd.restart();
  await warmUp(nsqd);
  for (const { proxy, mode } of before) if (proxy.mode === 'refuse') proxy.mode = mode;
}

async function warmUp({ http }: RunningNsqd): Promise<void> {
  for (const topic of TOPICS) {
    for (let i = 0; i < 2; i += 1) {
      const response = await fetch(`http://${http}/pub?topic=${topic}`, { method: 'POST', body: WARM_UP });
      if (!response.ok) throw new Error(`nsqd ${http} took no message: ${response.status}`);
    }
  }
}

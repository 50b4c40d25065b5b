import { setTimeout as sleep } from 'node:timers/promises';
import { redisCommand } from '../support/redis-node.js';
import type { Crew } from './crew.js';
import type { History } from './history.js';
import type { FaultName, PlannedFault } from './schedule.js';
import type { Servers, Target } from './servers.js';
import type { SmallDisk } from './small-disk.js';

/** What the nemesis can reach. */
export interface Battlefield {
  readonly servers: Servers;
  readonly crew: Crew;
  /** Where `log-a` is; undefined where none could be mounted. */
  readonly disk: SmallDisk | undefined;
}

/**
 * Carries out the plan, several faults at a time, and puts everything right again. What is still being put right is
 * not broken a second time: that fault is passed over, unless it is the first of its kind, which waits. So a slow machine
 * sees fewer faults, and yet all kinds.
 */
export async function unleash(
  plan: readonly PlannedFault[],
  field: Battlefield,
  history: History,
  onFault: (fault: PlannedFault) => void,
): Promise<void> {
  const startedAt = performance.now();
  const broken = new Map<string, Promise<unknown>>();
  const made = new Set<FaultName>();
  const underWay: Promise<unknown>[] = [];
  for (const planned of plan) {
    const wait = startedAt + planned.at - performance.now();
    if (wait > 0) await sleep(wait);
    const parts = planned.target.split('+');
    const impossible = planned.fault === 'disk full' && field.disk === undefined;
    if (impossible) continue;
    if (!made.has(planned.fault)) await Promise.all(parts.map((part) => broken.get(part)));
    if (parts.some((part) => broken.has(part))) continue;
    made.add(planned.fault);
    onFault(planned);
    const strikes = strike(planned, field, history)
      .catch((error: unknown) => failure(planned, error))
      .finally(() => {
        for (const part of parts) broken.delete(part);
      });
    for (const part of parts) broken.set(part, strikes);
    underWay.push(strikes);
  }
  const failures = (await Promise.all(underWay)).filter((result) => result instanceof Error);
  if (failures.length > 0) throw new AggregateError(failures, String(failures[0]));
}

function failure({ fault, target }: PlannedFault, cause: unknown): Error {
  return new Error(`'${fault}' could not be done to ${target}, or not put right: ${cause}`, { cause });
}

async function strike({ fault, target, forMs }: PlannedFault, field: Battlefield, history: History) {
  const from = Date.now();
  const putRight = await BLOWS[fault](target, field);
  await sleep(forMs);
  await putRight();
  history.write({ kind: 'fault', fault, target, from, until: Date.now() });
}

/** Breaks it; answers how to put it right. */
type Blow = (target: string, field: Battlefield) => Promise<() => Promise<void> | void>;

const BLOWS: Record<FaultName, Blow> = {
  async 'worker killed'(target, { crew }) {
    await crew.kill(target);
    return () => crew.start(target);
  },
  async 'worker stopped'(target, { crew }) {
    crew.signal(target, 'SIGSTOP');
    return () => crew.signal(target, 'SIGCONT');
  },
  async 'worker shut down'(target, { crew }) {
    await crew.close(target);
    return () => crew.start(target);
  },
  'redis killed': killed,
  'redis stopped': stopped,
  async 'redis out of memory'(_, { servers }) {
    await redisCommand(servers.redis.port, 'CONFIG', 'SET', 'maxmemory', 1);
    return () => command(servers, 'CONFIG', 'SET', 'maxmemory', 0);
  },
  async 'redis without replicas'(_, { servers }) {
    await redisCommand(servers.redis.port, 'CONFIG', 'SET', 'min-replicas-to-write', 1);
    return () => command(servers, 'CONFIG', 'SET', 'min-replicas-to-write', 0);
  },
  async 'scripts flushed'(_, { servers }) {
    await command(servers, 'SCRIPT', 'FLUSH');
    return () => {};
  },
  'nsqd killed': killed,
  'nsqd stopped': stopped,
  async 'all nsqd killed'(_, field) {
    const putRight = [await killed('nsqd1', field), await killed('nsqd2', field)];
    return async () => {
      await Promise.all(putRight.map((put) => put()));
    };
  },
  'cut before request': inTheWay('cut before request'),
  'cut after request': inTheWay('cut after request'),
  'cut in reply': inTheWay('cut in reply'),
  stalled: inTheWay('stall'),
  mute: inTheWay('mute'),
  async 'cut now'(target, field) {
    proxyOf(target, field)?.cut();
    return () => {};
  },
  async slow(target, field) {
    const proxy = proxyOf(target, field);
    if (proxy !== undefined) proxy.delayMs = 120;
    return () => {
      if (proxy !== undefined) proxy.delayMs = 0;
    };
  },
  async 'disk full'(_, { disk }) {
    await disk?.fill();
    return () => disk?.empty();
  },
};

async function killed(target: string, field: Battlefield) {
  const server = serverOf(target, field);
  server.signal('SIGKILL');
  return () => server.restart();
}

async function stopped(target: string, field: Battlefield) {
  const server = serverOf(target, field);
  server.signal('SIGSTOP');
  return () => server.signal('SIGCONT');
}

function inTheWay(
  mode: 'cut before request' | 'cut after request' | 'cut in reply' | 'stall' | 'mute',
): Blow {
  return async (target, field) => {
    const proxy = proxyOf(target, field);
    if (proxy === undefined || proxy.mode !== 'pass') return () => {};
    proxy.mode = mode;
    return () => {
      // A reply that was swallowed must not be followed by the next one.
      if (mode === 'mute') proxy.cut();
      if (proxy.mode === mode) proxy.mode = 'pass';
    };
  };
}

function serverOf(target: string, { servers }: Battlefield): Target {
  const server = servers.targets.get(target);
  if (server === undefined) throw new Error(`there is no ${target}`);
  return server;
}

/** `w1>redis`: what worker 1 reaches Redis by. */
function proxyOf(target: string, field: Battlefield) {
  const [worker = '', server = ''] = target.split('>');
  return serverOf(server, field).proxies.get(worker);
}

async function command({ redis }: Servers, name: string, ...args: (string | number)[]): Promise<void> {
  await redisCommand(redis.port, name, ...args);
}

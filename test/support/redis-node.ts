import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, type RunningProcess, startProcess } from './process.js';
import { dieWithUs } from './reaper.js';

const HOST = '127.0.0.1';

export interface RunningRedis {
  readonly url: string;
  readonly port: number;
  /** `redis_version` as the server tells it. */
  readonly version: string;
  /** Of the process that runs now: another one after `restart()`. */
  readonly pid: number;
  /** `SIGSTOP` makes it hang, `SIGCONT` goes on, `SIGKILL` is a crash. */
  signal(signal: NodeJS.Signals): void;
  /** Kills it and removes the folder it made for itself. Repeating it is fine. */
  stop(): Promise<void>;
  /**
   * A new process on the same port and folder. Without an append-only file (`args: ['--appendonly', 'yes']`)
   * it comes back empty.
   */
  restart(): Promise<void>;
}

export interface RedisOptions {
  /** A free one by default. */
  port?: number;
  /** More arguments for redis-server: `['--maxmemory', '8mb']`. */
  args?: readonly string[];
  /** Its working folder; kept after `stop()`. By default a temporary one. */
  dir?: string;
}

/** Starts a redis-server of the tests' own, on 127.0.0.1 only, without snapshots. Throws a plain reason if it cannot. */
export async function startRedis(options: RedisOptions = {}): Promise<RunningRedis> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'event-sessions-redis-')));
  const removeDir = async () => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  try {
    const { port, launched } = await launchOnAPort(options.port, dir, options.args ?? []);
    return handle(port, launched, () => launch(port, dir, options.args ?? []), removeDir);
  } catch (error) {
    await removeDir();
    throw error;
  }
}

/** Sends one command over a connection of its own. */
export async function redisCommand(port: number, command: string, ...args: (string | number)[]) {
  const redis = new Redis({ host: HOST, port, lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await redis.call(command, ...args);
  } finally {
    redis.disconnect();
  }
}

interface Launched {
  readonly process: RunningProcess;
  readonly version: string;
  stop(): Promise<void>;
}

/** A free port may be taken by somebody else before redis-server has it: then another one is tried. */
async function launchOnAPort(wanted: number | undefined, dir: string, args: readonly string[]) {
  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freeRedisPort());
    try {
      return { port, launched: await launch(port, dir, args) };
    } catch (error) {
      if (wanted !== undefined || isMissing(error) || attempt === 3) throw plain(error);
    }
  }
}

async function launch(port: number, dir: string, args: readonly string[]): Promise<Launched> {
  const own = ['--port', String(port), '--bind', HOST, '--save', '', '--dir', dir];
  const process = await startProcess('redis-server', [...own, ...args], async () => {
    await redisCommand(port, 'PING');
  });
  const forget = dieWithUs(process.pid);
  const info = String(await redisCommand(port, 'INFO', 'server'));
  const stop = async () => {
    // Nothing of it is kept, so nothing is lost; and a server under SIGSTOP would not hear a SIGTERM.
    await process.stop('SIGKILL');
    forget();
  };
  if (fieldOf(info, 'process_id') !== String(process.pid)) {
    await stop();
    throw new Error(`another server answers on port ${port}`);
  }
  return { process, version: fieldOf(info, 'redis_version'), stop };
}

function handle(
  port: number,
  launched: Launched,
  again: () => Promise<Launched>,
  removeDir: () => Promise<void>,
): RunningRedis {
  let current = launched;
  return {
    url: `redis://${HOST}:${port}`,
    port,
    version: launched.version,
    get pid() {
      return current.process.pid;
    },
    signal: (signal) => current.process.signal(signal),
    async stop() {
      await current.stop();
      await removeDir();
    },
    async restart() {
      await current.stop();
      current = await again();
    },
  };
}

/** Free, and so is `port + 10000`, which a cluster node takes as its bus. */
async function freeRedisPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port + 10_000 <= 65_535) return port;
  }
}

/** The value of `field:value` in what INFO and CLUSTER INFO answer. */
export function fieldOf(info: string, field: string): string {
  const line = info.split(/\r?\n/).find((candidate) => candidate.startsWith(`${field}:`));
  return line?.slice(field.length + 1) ?? '';
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function plain(error: unknown): Error {
  if (isMissing(error)) return new Error('redis-server is not on the PATH', { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}

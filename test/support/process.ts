import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** A port that was free a moment ago on 127.0.0.1. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export interface RunningProcess {
  readonly pid: number;
  /** Everything it printed, so that a failing test can show it. */
  output(): string;
  /** With `SIGSTOP` it has stopped when this returns, where `/proc` tells. */
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal (SIGTERM), and SIGKILL after 5 s; resolves when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a server of the tests' own and waits until `ready` stops throwing. Never leaves it behind when it fails. */
export async function startProcess(
  command: string,
  args: readonly string[],
  ready: () => Promise<void>,
  options: { cwd?: string; env?: NodeJS.ProcessEnv; readyWithinMs?: number } = {},
): Promise<RunningProcess> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-20_000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`${command} ended (${code ?? signal}):\n${output}`)),
    );
  });
  failed.catch(() => {});
  const running = handle(child, () => output);
  const deadline = Date.now() + (options.readyWithinMs ?? 15_000);
  for (;;) {
    try {
      await Promise.race([ready(), failed]);
      return running;
    } catch (error) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) throw error;
      if (Date.now() > deadline) {
        await running.stop('SIGKILL');
        throw new Error(`${command} was not ready in time:\n${output}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function handle(child: ChildProcess, output: () => string): RunningProcess {
  const gone = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? -1,
    output,
    signal: (signal) => {
      child.kill(signal);
      if (signal === 'SIGSTOP') whenStopped(child.pid ?? -1);
    },
    async stop(signal = 'SIGTERM') {
      if (gone()) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      const killer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await exited;
      clearTimeout(killer);
    },
  };
}

const STOPS_WITHIN_MS = 5_000;

/** The signal only asks: a thread that is at work on another processor goes on for a moment, and may answer a client. */
function whenStopped(pid: number): void {
  const tasks = `/proc/${pid}/task`;
  const deadline = Date.now() + STOPS_WITHIN_MS;
  while (existsSync(tasks) && !readdirSync(tasks).every((task) => isStopped(`${tasks}/${task}/stat`))) {
    if (Date.now() > deadline) throw new Error(`process ${pid} does not stop`);
  }
}

/** proc(5): the state is what follows the name, which is in parentheses and may have some itself. */
function isStopped(path: string): boolean {
  try {
    const stat = readFileSync(path, 'latin1');
    return 'TtZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    // It has ended since it was listed: the next list is without it.
    return false;
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
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

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { dieWithUs } from '../support/reaper.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningExample {
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the match as soon as the output so far has it; rejects when the program ends without. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  ended: Promise<Ended>;
}

/** Starts `examples/<path>` as a user would, from the root of the project. */
export function startExample(
  path: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): RunningExample {
  const child: ChildProcessWithoutNullStreams = spawn(
    process.execPath,
    ['--import', 'tsx', `examples/${path}`, ...args],
    { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'pipe' },
  );
  const pid = child.pid ?? -1;
  const forget = dieWithUs(pid);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const ended = once(child, 'close').then(([code]): Ended => {
    forget();
    return { code, stdout, stderr };
  });

  return {
    pid,
    ended,
    signal: (signal) => {
      child.kill(signal);
    },
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(stdout);
          if (match === null) return;
          child.stdout.off('data', look);
          resolve(match);
        };
        child.stdout.on('data', look);
        ended.then(
          ({ code }) => reject(new Error(`${path} ended with ${code}:\n${stdout}${stderr}`)),
          reject,
        );
        look();
      }),
  };
}

/** Runs `examples/<path>` to its end. */
export function runExample(
  path: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  return startExample(path, args, env).ended;
}

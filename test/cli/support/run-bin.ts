import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { dieWithUs } from '../../support/reaper.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** What runs the tool from its sources, for a shell too. It must be started in {@link ROOT}. */
export const BIN = ['--import', 'tsx', 'src/cli/bin.ts'] as const;
export { ROOT };

export interface RunningBin {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Resolves as soon as what it has printed, on both streams, matches. */
  printed(pattern: RegExp): Promise<void>;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Starts the command line tool as a process of its own. */
export function startBin(
  args: readonly string[],
  { env = {}, uid }: { env?: Record<string, string>; uid?: number } = {},
): RunningBin {
  const child = spawn(process.execPath, [...BIN, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid }),
  });
  const forget = dieWithUs(child.pid ?? -1);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => {
      output[name] += chunk.toString();
    });
  }
  const ended = once(child, 'close').then(([code]) => {
    forget();
    return { code: code as number | null, ...output };
  });
  return {
    child,
    ended,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(output.stdout + output.stderr)) resolve();
        };
        child.stdout.on('data', look);
        child.stderr.on('data', look);
        ended.then(
          ({ code, stdout, stderr }) => reject(new Error(`it ended with ${code}:\n${stdout}${stderr}`)),
          reject,
        );
        look();
      }),
  };
}

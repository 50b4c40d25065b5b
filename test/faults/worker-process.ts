import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Case, Played } from './case.js';

/** How a case ended: with an answer, or with the death of the worker. */
export type Outcome =
  | { readonly played: Played }
  | { readonly signal: NodeJS.Signals | null; readonly output: string };

export interface WorkerProcess {
  /** One at a time. */
  play(job: Case): Promise<Outcome>;
  kill(): Promise<void>;
}

/** Longer than any case may take: whoever takes longer hangs. */
const PATIENCE_MS = 60_000;

export function startWorkerProcess(script: string): WorkerProcess {
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [script], { stdio: 'pipe' });
  let output = '';
  let waiting: ((outcome: Outcome) => void) | undefined;
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (text) => {
    waiting?.({ played: JSON.parse(text) as Played });
  });
  const gone = new Promise<Outcome>((resolve) => {
    child.on('close', (_, signal) => resolve({ signal, output }));
  });

  return {
    async play(job) {
      const answered = new Promise<Outcome>((resolve) => {
        waiting = resolve;
      });
      const impatience = setTimeout(() => {
        output += `no answer within ${PATIENCE_MS} ms`;
        child.kill('SIGTERM');
      }, PATIENCE_MS);
      child.stdin.write(`${JSON.stringify(job)}\n`);
      try {
        return await Promise.race([answered, gone]);
      } finally {
        clearTimeout(impatience);
      }
    },
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

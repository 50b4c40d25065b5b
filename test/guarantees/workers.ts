import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { WorkerJob } from './worker.js';

const SCRIPT = fileURLToPath(new URL('./worker.ts', import.meta.url));

export type WorkerLine = Record<string, unknown>;

/** A running worker process, ready to act. */
export interface Worker {
  go(): void;
  kill(): Promise<void>;
  /** Resolves with the first line that has this key. */
  line(key: string): Promise<WorkerLine>;
  /** Resolves when it has ended by itself, with everything it said. */
  ended(): Promise<WorkerLine[]>;
}

export async function startWorker(job: WorkerJob): Promise<Worker> {
  const child: ChildProcessWithoutNullStreams = spawn(
    process.execPath,
    ['--import', 'tsx', SCRIPT, JSON.stringify(job)],
    { stdio: 'pipe' },
  );
  const lines: WorkerLine[] = [];
  const waiting = new Set<() => void>();
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  createInterface({ input: child.stdout }).on('line', (text) => {
    lines.push(JSON.parse(text));
    for (const look of waiting) look();
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;

  const line = (key: string) =>
    new Promise<WorkerLine>((resolve, reject) => {
      const look = () => {
        const found = lines.find((candidate) => key in candidate);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      exited.then(([code, signal]) =>
        reject(new Error(`the worker ended (${code ?? signal}): ${complaint}`)),
      );
      look();
    });

  await line('ready');
  return {
    line,
    go: () => {
      child.stdin.write('go\n');
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async ended() {
      const [code] = await exited;
      if (code !== 0) throw new Error(`the worker ended with ${code}: ${complaint}`);
      return lines;
    },
  };
}

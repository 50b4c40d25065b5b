import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from '../../../src/cli/main.js';

export interface MainOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly tty?: boolean;
  readonly signal?: AbortSignal;
  /** Sees each piece of output as it is written. */
  readonly onStdout?: (text: string) => void;
}

export interface MainResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line tool within this process, and captures what it prints. */
export async function runMain(args: readonly string[], options: MainOptions = {}): Promise<MainResult> {
  const { env = {}, cwd = tmpdir(), tty = false, signal = new AbortController().signal, onStdout } = options;
  const written = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof written) => ({
    isTTY: tty,
    columns: 100,
    write(text: string) {
      written[name] += text;
      if (name === 'stdout') onStdout?.(text);
    },
  });
  const [stdout, stderr] = [stream('stdout'), stream('stderr')];
  const code = await main({ args, env, cwd, version: '1.2.3', stdout, stderr, signal });
  return { code, ...written };
}

/** The JSON lines of an output. */
export function jsonLines(output: string): Record<string, unknown>[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Runs the work in a folder of its own. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'event-sessions-cli-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function withConfig<T>(
  source: string,
  work: (folder: string, path: string) => Promise<T>,
): Promise<T> {
  return inFolder(async (folder) => {
    const path = join(folder, 'event-sessions.config.mjs');
    await writeFile(path, source);
    return work(folder, path);
  });
}

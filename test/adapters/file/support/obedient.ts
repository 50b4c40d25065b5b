import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Answer {
  readonly result?: unknown;
  readonly code?: string;
  readonly message?: string;
}

export interface Obedient {
  order(...order: readonly unknown[]): Promise<Answer>;
  end(): Promise<void>;
}

export interface ObedientOptions {
  /** What the shell does before it becomes the process: `ulimit -n 64`. */
  readonly shell?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts obey.ts, under limits or with a shim. */
export async function startObedient(path: string, options: ObedientOptions = {}): Promise<Obedient> {
  const script = join(import.meta.dirname, 'obey.ts');
  const command = `${options.shell ?? ':'}; exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, '--import', 'tsx', script, path], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, UV_USE_IO_URING: '0', ...options.env },
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer> => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`it ended:\n${errors}`);
    return JSON.parse(value) as Answer;
  };
  await next();
  return {
    order(...order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return next();
    },
    async end() {
      const closed = once(child, 'close');
      child.stdin.end();
      const [code] = await closed;
      if (code !== 0) throw new Error(`it ended with ${code}:\n${errors}`);
    },
  };
}

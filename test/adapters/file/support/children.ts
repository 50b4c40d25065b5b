import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { FileContingencyOptions } from '../../../../src/adapters/file/index.js';

export interface Appender {
  readonly child: ChildProcess;
  /** Resolves when it has acknowledged its first record. */
  readonly begun: Promise<void>;
  /** Ids that it has acknowledged, when it is gone; rejects if it failed by itself. */
  readonly acknowledged: Promise<string[]>;
}

export function startAppender(
  path: string,
  name: string,
  count: number,
  bytes: number,
  atOnce = 1,
  options: FileContingencyOptions = {},
): Appender {
  const script = join(import.meta.dirname, 'append-records.ts');
  const args = [
    '--import',
    'tsx',
    script,
    path,
    name,
    `${count}`,
    `${bytes}`,
    `${atOnce}`,
    JSON.stringify(options),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const closed = once(child, 'close');
  const begun = Promise.race([once(child.stdout, 'data'), closed]).then(() => {});
  const acknowledged = closed.then(([code, signal]) => {
    if (code !== 0 && signal !== 'SIGKILL')
      throw new Error(`the appender ended with ${code ?? signal}:\n${errors}`);
    // The last line may be torn by the kill: then it was not heard, and proves nothing.
    return output.split('\n').slice(0, -1);
  });
  acknowledged.catch(() => {});
  return { child, begun, acknowledged };
}

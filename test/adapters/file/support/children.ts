import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { FileContingencyOptions } from '../../../../src/adapters/file/index.js';

export interface Appender {
  readonly child: ChildProcess;
  /** Resolves when it has acknowledged its first record. */
  readonly begun: Promise<void>;
  /** Ids that it has acknowledged so far. */
  heard(): readonly string[];
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
  const numbers = [count, bytes, atOnce].map(String);
  return start('append-records.ts', [path, name, ...numbers, JSON.stringify(options)]);
}

/** Appends until it is killed: see append-forever.ts. */
export function startAppendingForever(path: string, name: string, seed: number): Appender {
  return start('append-forever.ts', [path, name, `${seed}`]);
}

function start(script: string, args: readonly string[]): Appender {
  const command = ['--import', 'tsx', join(import.meta.dirname, script), ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
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
  // The last line may be torn by the kill: then it was not heard, and proves nothing.
  const heard = () => output.split('\n').slice(0, -1);
  const acknowledged = closed.then(([code, signal]) => {
    if (code !== 0 && signal !== 'SIGKILL')
      throw new Error(`the appender ended with ${code ?? signal}:\n${errors}`);
    return heard();
  });
  acknowledged.catch(() => {});
  return { child, begun, heard, acknowledged };
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { dieWithUs } from '../support/reaper.js';
import type { History } from './history.js';
import type { FromWorker, ToWorker, WorkerConfig } from './worker.js';

/** The worker processes that make the load, by name; each comes back under the same name after it has died. */
export interface Crew {
  readonly names: readonly string[];
  readonly progress: { operations: number; sessions: number };
  start(name: string): Promise<void>;
  /** Resolves when all of them are at work. */
  ready(): Promise<void>;
  /** kill -9. */
  kill(name: string): Promise<void>;
  signal(name: string, signal: NodeJS.Signals): void;
  /** Closes the service in the middle of its work, as at a SIGTERM. */
  close(name: string): Promise<void>;
  /** Lets everybody end what they have begun. */
  stop(): Promise<void>;
  /** Ends whatever is left, at once. */
  end(): Promise<void>;
}

/** Milliseconds that closing may take before it counts as hanging. */
const CLOSE_WITHIN_MS = 30_000;

interface Member {
  readonly life: string;
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly ready: Promise<unknown>;
  operations: number;
  sessions: number;
}

export function assemble(
  bundle: string,
  names: readonly string[],
  configOf: (name: string, life: string) => WorkerConfig,
  history: History,
): Crew {
  const members = new Map<string, Member>();
  const lives = new Map<string, number>();
  const progress = { operations: 0, sessions: 0 };

  const member = (name: string): Member => {
    const found = members.get(name);
    if (found === undefined) throw new Error(`${name} is not there`);
    return found;
  };

  async function start(name: string): Promise<void> {
    const number = (lives.get(name) ?? 0) + 1;
    lives.set(name, number);
    const life = `${name}.${number}`;
    const child = launch(bundle, configOf(name, life), history);
    const exited = exitOf(child);
    const ready = Promise.race([once(child, 'message'), exited]);
    const started: Member = { life, child, exited, ready, operations: 0, sessions: 0 };
    members.set(name, started);
    child.on('message', (message: FromWorker) => {
      if (message.kind === 'session') share(name, message.sessionId);
      if (message.kind !== 'progress') return;
      progress.operations += message.operations - started.operations;
      progress.sessions += message.sessions - started.sessions;
      Object.assign(started, message);
    });
    await once(child, 'spawn');
  }

  function share(from: string, sessionId: string): void {
    for (const [name, { child }] of members) {
      if (name !== from && child.connected) send(child, { kind: 'session', sessionId });
    }
  }

  async function leave(name: string, message: ToWorker): Promise<void> {
    const leaving = member(name);
    leaving.child.kill('SIGCONT');
    send(leaving.child, message);
    const tooLong = setTimeout(() => leaving.child.kill('SIGKILL'), CLOSE_WITHIN_MS);
    await leaving.exited;
    clearTimeout(tooLong);
    if (leaving.child.signalCode !== null) history.write({ kind: 'hung', victim: leaving.life });
  }

  async function kill(name: string): Promise<void> {
    const { child, exited, life } = member(name);
    child.kill('SIGKILL');
    await exited;
    history.write({ kind: 'died', victim: life });
  }

  return {
    names,
    progress,
    start,
    async ready() {
      await Promise.all([...members.values()].map(({ ready }) => ready));
    },
    kill,
    signal: (name, signal) => {
      member(name).child.kill(signal);
    },
    close: (name) => leave(name, { kind: 'close' }),
    async stop() {
      await Promise.all([...members.keys()].map((name) => leave(name, { kind: 'stop' })));
    },
    async end() {
      for (const { child } of members.values()) child.kill('SIGKILL');
      await Promise.all([...members.values()].map(({ exited }) => exited));
    },
  };
}

/** Runs a worker to its end. */
export async function runToEnd(bundle: string, config: WorkerConfig, history: History): Promise<void> {
  await exitOf(launch(bundle, config, history));
}

function launch(bundle: string, config: WorkerConfig, history: History): ChildProcess {
  const child = fork(bundle, [JSON.stringify(config)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Not the loaders of this process: the bundle needs none, and they take their time.
    execArgv: [],
  });
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4_000);
  });
  const forget = child.pid === undefined ? () => {} : dieWithUs(child.pid);
  child.on('error', () => {});
  child.on('exit', (code) => {
    forget();
    if (code !== null && code !== 0) history.write({ kind: 'crashed', victim: config.name, complaint });
  });
  return child;
}

function exitOf(child: ChildProcess): Promise<unknown> {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, 'exit');
}

/** To a process that may be gone by now. */
function send(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message, () => {});
}

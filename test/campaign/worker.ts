import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from './client.js';
import { closeLogs, endSessions } from './closing.js';
import { openHistory } from './history.js';
import { type ServiceConfig, startService } from './ports.js';
import { seededRandom } from './random.js';
import { recordedCommands } from './recording.js';
import { RECOVERY_INTERVAL_MS, type Workload } from './settings.js';

/** One process of the campaign. `FromWorker` and `ToWorker` go over the channel to the process that started it. */
export interface WorkerConfig extends ServiceConfig {
  /** `w1.2`: the second life of worker 1. */
  readonly name: string;
  readonly historyFolder: string;
  readonly seed: number;
  readonly task: /** Random sessions, until told to stop. */
    | { readonly kind: 'load'; readonly workload: Workload }
    /** Recovers until nothing is left in the log, for so long at most. */
    | { readonly kind: 'recover'; readonly withinMs: number }
    /** Ends these sessions one way or the other, then recovers. */
    | { readonly kind: 'end'; readonly sessionIds: readonly string[]; readonly withinMs: number };
}

/** `session`: one that others may add to and end as well. */
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'session'; readonly sessionId: string }
  | { readonly kind: 'progress'; readonly operations: number; readonly sessions: number };

export type ToWorker =
  | { readonly kind: 'session'; readonly sessionId: string }
  /** `stop`: ends what has begun, then closes. `close`: closes in the middle of it. */
  | { readonly kind: 'stop' | 'close' };

async function run(config: WorkerConfig): Promise<void> {
  const { name, historyFolder, task } = config;
  const history = openHistory(historyFolder, name);
  history.write({ kind: 'started', log: config.log.name });
  const service = startService(config, history);
  const tell = (message: FromWorker) => process.send?.(message);
  process.on('disconnect', () => process.exit(1));

  if (task.kind === 'load') {
    const { sessions } = service;
    const random = seededRandom(config.seed, name);
    const commands = recordedCommands(sessions, history, dataOf);
    const client = createClient({ name, commands, random, workload: task.workload, tell });
    const recovering = setInterval(() => {
      if (!config.recovers) service.recover().catch(() => {});
    }, RECOVERY_INTERVAL_MS);
    const asked = new Promise<'stop' | 'close'>((resolve) => {
      process.on('message', (message: ToWorker) => {
        if (message.kind === 'session') client.visit(message.sessionId);
        else resolve(message.kind);
      });
    });
    tell({ kind: 'ready' });
    client.start();
    if ((await asked) === 'stop') await client.stop();
    else client.abandon();
    clearInterval(recovering);
    await sessions.close();
  } else {
    if (task.kind === 'end') {
      await endSessions(service, recordedCommands(service.sessions, history, dataOf), task.sessionIds);
    }
    await closeLogs(service, task.withinMs);
    await service.sessions.close();
  }
  // What was answered in the last moment is written before this.
  await sleep(20);
  history.write({ kind: 'ended' });
  history.close();
  process.exit(0);
}

/** Sizes differ, so that nothing falls on the same boundary every time. */
function dataOf(tag: string): object {
  const random = seededRandom(tag);
  return {
    tag,
    pad: 'x'.repeat(random.chance(0.05) ? random.between(2_000, 9_000) : random.between(0, 200)),
  };
}

void run(JSON.parse(process.argv[2] ?? '') as WorkerConfig);

import { rmSync } from 'node:fs';
import { access, constants, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fileContingency } from 'event-sessions/file';
import { redisStore } from 'event-sessions/redis';
import { build } from 'tsup';
import { check, type Verdict } from './checker.js';
import { assemble, type Crew, runToEnd } from './crew.js';
import { drain } from './drain.js';
import { type History, openHistory, readHistory } from './history.js';
import type { MutationName } from './mutations.js';
import { unleash } from './nemesis.js';
import type { Message, Observations } from './observations.js';
import { observeQuarantine, observeSessions } from './observe.js';
import type { LogConfig } from './ports.js';
import { type PlannedFault, planFaults } from './schedule.js';
import { type Servers, startServers } from './servers.js';
import { CHECKER, EVERYTHING, TOPICS, WARM_UP, type Workload } from './settings.js';
import { mountSmallDisk, type SmallDisk } from './small-disk.js';
import type { WorkerConfig } from './worker.js';

export interface CampaignOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Default: what the seed decides. */
  readonly plan?: readonly PlannedFault[] | undefined;
  readonly workload?: Partial<Workload> | undefined;
  readonly mutation?: MutationName | undefined;
  /** Whether history and observations stay. Default `on failure`. */
  readonly keep?: 'always' | 'on failure' | 'never' | undefined;
  readonly onProgress?: ((progress: CampaignProgress) => void) | undefined;
}

export interface CampaignProgress {
  readonly phase: string;
  readonly operations: number;
  readonly sessions: number;
  readonly faults: number;
}

export interface CampaignResult extends Verdict {
  /** History and observations, if they were kept. */
  readonly folder: string | undefined;
  /** Faults that could not be made here, and why. */
  readonly leftOut: readonly string[];
}

/** Who writes to which log: two share one, as processes of one host do. */
const WORKERS = { w1: 'log-a', w2: 'log-a', w3: 'log-b', w4: 'log-c' } as const;
type WorkerName = keyof typeof WORKERS;
const NAMES = Object.keys(WORKERS) as WorkerName[];

const SMALL_LOG_BYTES = 96 * 1_024;
/** Milliseconds that recovery has to empty the logs, once everything has healed. */
const RECOVER_WITHIN_MS = 60_000;

/** Load, faults, healing, recovery, consuming, judgement. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const folder = await mkdtemp(join(await fastFolder(), 'event-sessions-chaos-'));
  const disk = await mountSmallDisk(join(folder, 'log-a'));
  const { keep: wanted = 'on failure' } = options;
  let keep = wanted === 'always';
  try {
    const servers = await startServers(folder, NAMES);
    try {
      const result = await run(options, folder, servers, disk);
      keep ||= wanted === 'on failure' && result.violations.length > 0;
      const leftOut = disk === undefined ? ['disk full: no disk can be mounted here'] : [];
      return { ...result, leftOut, folder: keep ? folder : undefined };
    } catch (error) {
      keep = wanted !== 'never';
      throw error;
    } finally {
      await servers.stop();
    }
  } finally {
    if (keep && disk !== undefined)
      await cp(join(folder, 'log-a'), join(folder, 'log-a.kept'), { recursive: true });
    await disk?.remove();
    if (!keep) await rm(folder, { recursive: true, force: true });
  }
}

async function run(
  options: CampaignOptions,
  folder: string,
  servers: Servers,
  disk: SmallDisk | undefined,
): Promise<Verdict> {
  const { seed, durationMs, mutation, onProgress } = options;
  const historyFolder = join(folder, 'history');
  const nemesis = openHistory(historyFolder, 'nemesis');
  const bundle = await bundledWorker();
  const plan = options.plan ?? planFaults(seed, durationMs, NAMES);
  await writeFile(join(folder, 'plan.json'), JSON.stringify({ seed, durationMs, plan }, undefined, 1));

  const logs = await makeLogs(folder);
  const logOf = (name: string) => logs.get(WORKERS[name as WorkerName]) as LogConfig;
  const common = { historyFolder, seed, mutation };
  const workload = { ...EVERYTHING, ...options.workload };
  const crew = assemble(
    bundle,
    NAMES,
    (name, life) => ({
      ...common,
      name: life,
      redis: servers.redisUrl(name),
      nsqd: servers.nsqdAddresses(name),
      log: logOf(name),
      recovers: name === 'w4',
      task: { kind: 'load', workload },
    }),
    nemesis,
  );
  let faults = 0;
  const tell = (phase: string) => onProgress?.({ phase, faults, ...crew.progress });
  const ticking = setInterval(() => tell('load'), 1_000);
  try {
    for (const name of NAMES) await crew.start(name);
    await crew.ready();
    await Promise.all([
      sleep(durationMs),
      unleash(plan, { servers, crew, disk }, nemesis, () => {
        faults += 1;
      }),
    ]);
    servers.heal();
    clearInterval(ticking);
    tell('everybody ends what they have begun');
    await crew.stop();
    const observations = await recoverAndObserve({ common, bundle, logs, servers, nemesis, tell });
    tell('the checker judges');
    await writeFile(join(folder, 'observations.json'), observationsToJson(observations));
    return check(readHistory(historyFolder), observations, CHECKER);
  } finally {
    clearInterval(ticking);
    await endAll(crew);
    nemesis.close();
  }
}

async function endAll(crew: Crew): Promise<void> {
  await crew.end().catch(() => {});
}

interface Aftermath {
  readonly common: Pick<WorkerConfig, 'historyFolder' | 'seed' | 'mutation'>;
  readonly bundle: string;
  readonly logs: ReadonlyMap<string, LogConfig>;
  readonly servers: Servers;
  readonly nemesis: History;
  readonly tell: (phase: string) => void;
}

async function recoverAndObserve(aftermath: Aftermath): Promise<Observations> {
  const { common, bundle, logs, servers, nemesis, tell } = aftermath;
  const direct = { redis: servers.redis.url, nsqd: servers.nsqd.map(({ tcp }) => tcp), recovers: false };
  tell('recovery');
  await Promise.all(
    [...logs.values()].map((log) => {
      const task = { kind: 'recover', withinMs: RECOVER_WITHIN_MS } as const;
      return runToEnd(bundle, { ...common, ...direct, log, name: `recover-${log.name}`, task }, nemesis);
    }),
  );

  const sessionIds = new Set(
    readHistory(common.historyFolder).flatMap((entry) => (entry.kind === 'invoke' ? [entry.sessionId] : [])),
  );
  const store = redisStore({ url: servers.redis.url });
  try {
    const afterRecovery = await observeSessions(store, sessionIds);
    const open = [...afterRecovery].flatMap(([sessionId, { status }]) =>
      status === 'open' ? [sessionId] : [],
    );
    tell(`${open.length} sessions are still open and get an end`);
    const [firstLog] = logs.values();
    if (firstLog !== undefined) {
      const task = { kind: 'end', sessionIds: open, withinMs: RECOVER_WITHIN_MS } as const;
      await runToEnd(bundle, { ...common, ...direct, log: firstLog, name: 'end', task }, nemesis);
    }
    const sessions = await observeSessions(store, sessionIds);
    for (const [sessionId, final] of sessions) {
      const statusAfterRecovery = afterRecovery.get(sessionId)?.status;
      sessions.set(sessionId, { ...final, statusAfterRecovery });
    }
    tell('consumers drain');
    return {
      sessions,
      messages: await drainAll(servers),
      quarantine: [...logs.values()].flatMap(({ name, path }) => observeQuarantine(name, path)),
      backlog: await backlogs(logs),
    };
  } finally {
    await store.close();
  }
}

async function drainAll({ nsqd }: Servers): Promise<Message[]> {
  const ignore = (body: string) => body === WARM_UP;
  const drained = await Promise.all(nsqd.map((server) => drain(server, TOPICS, { ignore })));
  return drained.flat();
}

async function backlogs(logs: ReadonlyMap<string, LogConfig>): Promise<Map<string, number>> {
  const backlog = new Map<string, number>();
  for (const { name, path } of logs.values()) {
    const log = fileContingency({ path });
    backlog.set(name, (await log.backlog()).records);
    await log.close();
  }
  return backlog;
}

async function makeLogs(folder: string): Promise<Map<string, LogConfig>> {
  const logs = new Map<string, LogConfig>();
  for (const name of new Set(Object.values(WORKERS))) {
    await mkdir(join(folder, name), { recursive: true });
    const path = join(folder, name, 'contingency-log.jsonl');
    logs.set(name, name === 'log-c' ? { name, path, maxBytes: SMALL_LOG_BYTES } : { name, path });
  }
  return logs;
}

let bundle: Promise<string> | undefined;

/** One file, made once, so that a worker is there again soon after it was killed. */
function bundledWorker(): Promise<string> {
  bundle ??= bundleWorker();
  return bundle;
}

async function bundleWorker(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'event-sessions-worker-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await build({
    entry: [fileURLToPath(new URL('./worker.ts', import.meta.url))],
    outDir: folder,
    format: ['cjs'],
    target: 'node20',
    platform: 'node',
    noExternal: [/^(?!snappystream$)/],
    external: ['snappystream'],
    config: false,
    silent: true,
    dts: false,
  });
  return join(folder, 'worker.cjs');
}

/** In memory where that is possible: what is tested is the death of processes, not of the machine. */
async function fastFolder(): Promise<string> {
  try {
    await access('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

function observationsToJson(observations: Observations): string {
  return JSON.stringify({
    ...observations,
    sessions: [...observations.sessions],
    backlog: [...observations.backlog],
    messages: observations.messages.map((message) => ({ ...message, timestamp: String(message.timestamp) })),
  });
}

export function observationsFromJson(text: string): Observations {
  const { sessions, backlog, messages, ...rest } = JSON.parse(text);
  return {
    ...rest,
    sessions: new Map(sessions),
    backlog: new Map(backlog),
    messages: messages.map((message: { timestamp: string }) => ({
      ...message,
      timestamp: BigInt(message.timestamp),
    })),
  };
}

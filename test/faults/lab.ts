import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventPublisher } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { Redis } from 'ioredis';
import * as scripts from '../../src/adapters/redis/scripts.js';
import { type CheckerSettings, check, RECOVERY_BATCH, type Violation } from '../campaign/checker.js';
import { readHistory } from '../campaign/history.js';
import { startNsqd } from '../support/nsqd.js';
import { startRedis } from '../support/redis.js';
import { WINDOW } from './actor.js';
import { bundleWorker } from './bundle.js';
import { type Case, fileOf, historyOf, type Played } from './case.js';
import { type Consumer, startConsumer } from './consumer.js';
import type { Fault } from './fault-line.js';
import { heal } from './heal.js';
import { startWorkerProcess, type WorkerProcess } from './worker-process.js';

/** Servers, and places at which cases are played side by side. */
export interface Lab {
  /** Plays a scenario without a fault. */
  record(scenario: string): Promise<Played>;
  /** Plays a scenario with a fault, heals, and lets the checker decide. Throws what is wrong. */
  visit(scenario: string, fault: Fault): Promise<void>;
  close(): Promise<void>;
}

interface Place {
  readonly consumer: Consumer;
  worker: WorkerProcess | undefined;
}

const SETTINGS: CheckerSettings = { window: WINDOW, recoveryBatch: RECOVERY_BATCH };
/** A machine that is busy may take the library another way before the point is reached. */
const ATTEMPTS = 3;

export async function openLab(places: number): Promise<Lab> {
  const base = await mkdtemp(join(tmpdir(), 'event-sessions-fault-cases-'));
  const [bundle, redisServer, nsqd] = await Promise.all([
    bundleWorker(),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'no'] }),
    startNsqd({ args: ['--mem-queue-size=0'] }),
  ]);
  const redis = new Redis(redisServer.url);
  // So that no run is the one that has to load them.
  for (const value of Object.values(scripts)) {
    if (typeof value === 'object' && 'lua' in value) await redis.script('LOAD', value.lua);
  }
  const publisher = nsqPublisher({ nsqd: nsqd.tcp });
  const lent: EventPublisher = { ...publisher, close: async () => {} };
  const all = await Promise.all(
    Array.from({ length: places }, async (_, i): Promise<Place> => {
      const consumer = await startConsumer(nsqd, [`faults.${i}.a`, `faults.${i}.b`]);
      return { consumer, worker: undefined };
    }),
  );
  const free = [...all];
  const queue: ((place: Place) => void)[] = [];
  let cases = 0;
  let kept = 0;

  async function at<T>(work: (place: Place) => Promise<T>): Promise<T> {
    const place = free.pop() ?? (await new Promise<Place>((resolve) => queue.push(resolve)));
    try {
      return await work(place);
    } finally {
      const next = queue.shift();
      if (next === undefined) free.push(place);
      else next(place);
    }
  }

  function caseAt({ consumer }: Place, scenario: string, fault?: Fault): Case {
    cases += 1;
    const id = `c${cases}`;
    const { topics } = consumer;
    return { id, scenario, fault, redis: redisServer.url, nsqd: nsqd.tcp, topics, folder: join(base, id) };
  }

  /** Undefined if it was killed, as it had to be. */
  async function play(place: Place, job: Case): Promise<Played | undefined> {
    place.worker ??= startWorkerProcess(bundle.script);
    const outcome = await place.worker.play(job);
    if (!('played' in outcome)) {
      // Starts while the case is being healed.
      place.worker = startWorkerProcess(bundle.script);
      const wanted = job.fault !== undefined && job.fault.action !== 'fail';
      if (wanted && outcome.signal === 'SIGKILL') return undefined;
      throw new Error(`the process ended (${outcome.signal ?? 'by itself'}): ${outcome.output}`);
    }
    if (existsSync(`${fileOf(job.folder)}.lock`)) {
      // It could not remove its lock. That frees itself when its process is gone, and this is the end of it.
      await place.worker.kill();
      place.worker = undefined;
    }
    if (outcome.played.error !== undefined) throw new Error(outcome.played.error);
    return outcome.played;
  }

  async function judge(place: Place, job: Case): Promise<readonly Violation[]> {
    const observations = await heal(job, { redis, publisher: lent, drained: place.consumer.drained });
    return check(readHistory(historyOf(job.folder)), observations, SETTINGS).violations;
  }

  async function examined<T>(job: Case, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      await rm(job.folder, { recursive: true, force: true });
      return result;
    } catch (error) {
      kept += 1;
      throw new Error(`${error instanceof Error ? error.message : error}\n(${job.folder})`, { cause: error });
    }
  }

  return {
    record: (scenario) =>
      at((place) => {
        const job = caseAt(place, scenario);
        return examined(job, async () => {
          const played = (await play(place, job)) as Played;
          mustBeClean(await judge(place, job));
          return played;
        });
      }),

    visit: (scenario, fault) =>
      at(async (place) => {
        for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
          const job = caseAt(place, scenario, fault);
          const reached = await examined(job, async () => {
            const played = await play(place, job);
            mustBeClean(await judge(place, job));
            return played === undefined || played.struck;
          });
          if (reached) return;
        }
        throw new Error(`the point was not reached in ${ATTEMPTS} attempts`);
      }),

    async close() {
      await Promise.all(
        all.map(async ({ consumer, worker }) => {
          await worker?.kill();
          await consumer.close();
        }),
      );
      await publisher.close();
      redis.disconnect();
      await Promise.all([redisServer.stop(), nsqd.stop(), bundle.remove()]);
      if (kept === 0) await rm(base, { recursive: true, force: true });
    },
  };
}

function mustBeClean(violations: readonly Violation[]): void {
  if (violations.length === 0) return;
  const lines = violations.map(
    ({ guarantee, rule, sessionId, message }) => `${guarantee} ${rule}: ${message} (${sessionId ?? ''})`,
  );
  throw new Error(lines.join('\n'));
}

import { type Random, seededRandom } from './random.js';

/** One thing to break, when, and for how long. Everything is decided by the seed before anything runs. */
export interface PlannedFault {
  /** Milliseconds after the beginning. */
  readonly at: number;
  readonly fault: FaultName;
  readonly target: string;
  readonly forMs: number;
}

/** Where each can strike, how often compared with the others, and for how many milliseconds. */
const FAULTS = {
  'worker killed': { on: 'worker', weight: 14, forMs: [50, 1_500] },
  'worker stopped': { on: 'worker', weight: 12, forMs: [100, 2_500] },
  'worker shut down': { on: 'worker', weight: 5, forMs: [50, 500] },
  'redis killed': { on: 'redis', weight: 7, forMs: [50, 2_000] },
  'redis stopped': { on: 'redis', weight: 8, forMs: [100, 2_500] },
  'redis out of memory': { on: 'redis', weight: 6, forMs: [200, 1_500] },
  'redis without replicas': { on: 'redis', weight: 4, forMs: [200, 1_000] },
  'scripts flushed': { on: 'redis', weight: 7, forMs: [0, 0] },
  'nsqd killed': { on: 'nsqd', weight: 9, forMs: [50, 2_000] },
  'nsqd stopped': { on: 'nsqd', weight: 9, forMs: [100, 2_500] },
  'all nsqd killed': { on: 'all nsqd', weight: 6, forMs: [500, 3_000] },
  'cut before request': { on: 'way', weight: 9, forMs: [50, 800] },
  'cut after request': { on: 'way', weight: 12, forMs: [50, 800] },
  'cut in reply': { on: 'way', weight: 9, forMs: [50, 800] },
  'cut now': { on: 'way', weight: 6, forMs: [0, 0] },
  slow: { on: 'way', weight: 7, forMs: [200, 2_000] },
  stalled: { on: 'way', weight: 9, forMs: [200, 2_500] },
  mute: { on: 'way', weight: 6, forMs: [200, 1_500] },
  'disk full': { on: 'disk', weight: 9, forMs: [200, 2_500] },
} as const;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];

/** Milliseconds between two faults, on average; every so often nothing happens for a while. */
const GAP_MS = 450;
const CALM = { everyMs: 12_000, forMs: 2_500 };

export function planFaults(seed: number, durationMs: number, workers: readonly string[]): PlannedFault[] {
  const random = seededRandom(seed, 'schedule');
  const busyUntil = new Map<string, number>();
  const plan: PlannedFault[] = [];
  const total = FAULT_NAMES.reduce((sum, name) => sum + FAULTS[name].weight, 0);
  for (let at = 300; at < durationMs; at += -Math.log(1 - random.next()) * GAP_MS) {
    if (at % CALM.everyMs > CALM.everyMs - CALM.forMs) continue;
    const fault = drawFault(random, total);
    const target = drawTarget(random, FAULTS[fault].on, workers);
    const [least, most] = FAULTS[fault].forMs;
    const forMs = Math.min(random.between(least, most), durationMs - at);
    const touched = target === 'nsqd1+nsqd2' ? ['nsqd1', 'nsqd2'] : [target];
    if (touched.some((name) => (busyUntil.get(name) ?? 0) > at)) continue;
    // Starting again takes time too.
    for (const name of touched) busyUntil.set(name, at + forMs + 400);
    plan.push({ at: Math.round(at), fault, target, forMs: Math.round(forMs) });
  }
  return plan;
}

function drawFault(random: Random, total: number): FaultName {
  let draw = random.next() * total;
  for (const name of FAULT_NAMES) {
    draw -= FAULTS[name].weight;
    if (draw < 0) return name;
  }
  return 'cut now';
}

function drawTarget(
  random: Random,
  on: (typeof FAULTS)[FaultName]['on'],
  workers: readonly string[],
): string {
  switch (on) {
    case 'worker':
      return random.pick(workers);
    case 'redis':
      return 'redis';
    case 'nsqd':
      return random.pick(['nsqd1', 'nsqd2']);
    case 'all nsqd':
      return 'nsqd1+nsqd2';
    case 'disk':
      return 'log-a';
    case 'way':
      return `${random.pick(workers)}>${random.pick(['redis', 'redis', 'nsqd1', 'nsqd2'])}`;
  }
}

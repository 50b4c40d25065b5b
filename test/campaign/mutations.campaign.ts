import { describe, expect, it } from 'vitest';
import { runCampaign } from './campaign.js';
import type { RuleName } from './checker.js';
import { MUTATIONS, type MutationName } from './mutations.js';
import type { FaultName, PlannedFault } from './schedule.js';
import type { Workload } from './settings.js';

const WORKERS = ['w1', 'w2', 'w3', 'w4'] as const;

const fault = (at: number, name: FaultName, target: string, forMs: number): PlannedFault => ({
  at,
  fault: name,
  target,
  forMs,
});
/** One after the other, so many milliseconds apart. */
const everyWorker = (from: number, apart: number, name: FaultName, forMs: number, way = '') =>
  WORKERS.map((worker, i) => fault(from + i * apart, name, `${worker}${way}`, forMs));

const ALONE: Partial<Workload> = { shared: 0, raced: 0, abandoned: 0, shortLived: 0 };

interface Exposure {
  readonly durationMs: number;
  readonly plan: readonly PlannedFault[];
  readonly workload: Partial<Workload>;
  /** Any of these says that it was caught for what it is. */
  readonly caughtBy: readonly RuleName[];
}

/** The shortest faults that bring each mutation to light. */
const EXPOSURES: Record<MutationName, Exposure> = {
  'no deduplication': {
    durationMs: 4_000,
    plan: [0, 1, 2].flatMap((round) =>
      everyWorker(400 + round * 1_200, 250, 'cut after request', 300, '>redis'),
    ),
    workload: ALONE,
    caughtBy: ['stored twice'],
  },
  'no fencing': {
    durationMs: 13_000,
    plan: [
      ...everyWorker(0, 1, 'slow', 12_900, '>nsqd1'),
      // A worker that is stopped may be between two commits: on a slow machine once is not enough.
      ...[1_200, 4_200, 7_200, 10_200].flatMap((at) => [
        fault(at, 'worker stopped', 'w1', 1_800),
        fault(at + 300, 'worker stopped', 'w2', 1_800),
      ]),
    ],
    workload: { ...ALONE, lanes: 4, large: 1, rollback: 0, pauseMs: 0 },
    caughtBy: ['duplicates beyond the bound'],
  },
  'cleared before done': {
    durationMs: 10_000,
    plan: [
      fault(300, 'redis stopped', 'redis', 1_700),
      ...everyWorker(2_000, 1, 'slow', 7_900, '>redis'),
      // A worker that comes back recovers at once: it is killed at that, on a slow machine too.
      ...[3_200, 4_600, 6_200, 8_200].flatMap((at) => everyWorker(at, 100, 'worker killed', 100)),
    ],
    workload: ALONE,
    caughtBy: ['event lost', 'session lost', 'end not carried out'],
  },
  'log that writes later': {
    durationMs: 4_000,
    plan: [fault(300, 'redis stopped', 'redis', 2_500), ...everyWorker(1_200, 300, 'worker killed', 100)],
    workload: ALONE,
    caughtBy: ['event lost', 'session lost', 'end not carried out'],
  },
  'published at add': {
    durationMs: 1_500,
    plan: [],
    workload: ALONE,
    caughtBy: ['published before commit'],
  },
  'rollback not recovered': {
    durationMs: 2_500,
    plan: [fault(300, 'redis stopped', 'redis', 1_500)],
    workload: { ...ALONE, rollback: 1 },
    caughtBy: ['end not carried out'],
  },
};

describe('a library with one guarantee broken is caught', () => {
  for (const mutation of Object.keys(MUTATIONS) as MutationName[]) {
    const { caughtBy, ...options } = EXPOSURES[mutation];
    it(`${mutation}: ${caughtBy.join(', or ')}`, async () => {
      const { violations } = await runCampaign({ ...options, seed: 1, mutation, keep: 'never' });
      const rules = new Set(violations.map(({ rule }) => rule));
      expect(
        caughtBy.filter((rule) => rules.has(rule)),
        `caught by: ${[...rules].join(', ')}`,
      ).not.toEqual([]);
    });
  }
});

it('the same faults, one after the other, do no harm to the library as it is', async () => {
  let from = 0;
  const plan: PlannedFault[] = [];
  for (const { durationMs, plan: faults } of Object.values(EXPOSURES)) {
    plan.push(...faults.map((planned) => ({ ...planned, at: planned.at + from })));
    from += durationMs;
  }
  const workload = { ...ALONE, large: 0.4 };
  const { violations } = await runCampaign({ seed: 1, durationMs: from, plan, workload });
  expect(violations).toEqual([]);
});

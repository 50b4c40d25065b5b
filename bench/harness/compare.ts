import type { BenchContext } from './bench.js';
import { type CpuTimes, cpuPerEvent, cpuTimes } from './cpu.js';
import { median, type Rate, type RatioResult, spreadOf } from './result.js';

/** One way to do the work. */
export interface Side {
  readonly name: string;
  /** Before every run, untimed. */
  readonly prepare?: () => Promise<unknown>;
  /** Resolves with the number of events it has dealt with. */
  readonly run: () => Promise<number>;
  /** After every run, untimed. Throws if the work was not done. */
  readonly verify?: () => Promise<unknown>;
}

export interface Comparison {
  readonly bench: string;
  readonly title: string;
  readonly eventBytes?: number;
  readonly goal: number;
  readonly ours: Side;
  readonly theirs: Side;
}

/**
 * Both sides in turns, in one process, over a first round that is thrown away and then `rounds` that count. Who begins
 * changes with every round. What is compared is always two neighbours in time, so a slow minute of the machine weighs
 * on both; the result is the median of those ratios, not the ratio of two medians.
 */
export async function compare(
  comparison: Comparison,
  { rounds, redis, nsqd }: Pick<BenchContext, 'rounds' | 'redis' | 'nsqd'>,
): Promise<RatioResult> {
  const { bench, title, eventBytes, goal, ours, theirs } = comparison;
  const servers = { redis: redis.pid, nsqd: nsqd.pid };
  const [mine, other]: [Measured[], Measured[]] = [[], []];
  for (let round = 0; round <= rounds; round += 1) {
    const turns = [
      async () => mine.push(await measure(ours, servers)),
      async () => other.push(await measure(theirs, servers)),
    ];
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn();
  }
  mine.shift();
  other.shift();
  const ratios = mine.map(({ perSecond }, round) => perSecond / (other[round]?.perSecond ?? Number.NaN));
  return {
    kind: 'ratio',
    bench,
    title,
    ...(eventBytes === undefined ? {} : { eventBytes }),
    goal,
    ratio: median(ratios),
    ratioSpread: spreadOf(ratios),
    ours: rateOf(ours, mine),
    theirs: rateOf(theirs, other),
  };
}

interface Measured {
  readonly perSecond: number;
  readonly cpu: CpuTimes;
}

async function measure({ prepare, run, verify }: Side, servers: Record<string, number>): Promise<Measured> {
  await prepare?.();
  globalThis.gc?.();
  const cpu = cpuTimes(servers);
  const startedAt = performance.now();
  const events = await run();
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = cpuTimes(servers);
  await verify?.();
  return { perSecond: events / seconds, cpu: cpuPerEvent(cpu, after, events) };
}

function rateOf({ name }: Side, measured: readonly Measured[]): Rate {
  const rates = measured.map(({ perSecond }) => perSecond);
  const names = Object.keys(measured[0]?.cpu ?? {});
  const cpu = names.map((who) => [who, median(measured.map((one) => one.cpu[who] ?? 0))]);
  return { name, perSecond: median(rates), spread: spreadOf(rates), cpuPerEvent: Object.fromEntries(cpu) };
}

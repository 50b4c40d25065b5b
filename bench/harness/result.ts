import type { CpuTimes } from './cpu.js';

/** What a bench has found out. All of it goes into the JSON as it is. */
export type Result = RatioResult | FigureResult;

interface Named {
  readonly bench: string;
  readonly title: string;
  /** Bytes of an event's envelope, where there is one. */
  readonly eventBytes?: number;
}

/** Two ways to the same end, measured in turns. Above 1 the library is faster. */
export interface RatioResult extends Named {
  readonly kind: 'ratio';
  /** Median over the rounds of `ours / theirs` within a round. */
  readonly ratio: number;
  readonly ratioSpread: Spread;
  readonly goal: number;
  readonly ours: Rate;
  readonly theirs: Rate;
}

export interface Rate {
  readonly name: string;
  /** Median, in events per second. */
  readonly perSecond: number;
  readonly spread: Spread;
  /** Median of the microseconds of processor time an event took, by who spent them. */
  readonly cpuPerEvent: CpuTimes;
}

/** A number that stands for itself, with a bound it should keep, if there is one. */
export interface FigureResult extends Named {
  readonly kind: 'figure';
  readonly value: number;
  readonly unit: string;
  readonly spread?: Spread;
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number };
  readonly note?: string;
}

/** First and third quartile. */
export interface Spread {
  readonly low: number;
  readonly high: number;
}

export function isMet(result: Result): boolean | undefined {
  if (result.kind === 'ratio') return result.ratio >= result.goal;
  if (result.goal === undefined) return undefined;
  return 'atMost' in result.goal ? result.value <= result.goal.atMost : result.value >= result.goal.atLeast;
}

/** Even the better rounds are below half of the goal: a busy machine does not do that. */
export function isFarFromGoal({ ratioSpread, goal }: RatioResult): boolean {
  return ratioSpread.high < goal / 2;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function spreadOf(values: readonly number[]): Spread {
  return { low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** The nearest of the values themselves, so that a median is a round that took place. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN;
}

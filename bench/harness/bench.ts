import type { RunningNsqd } from '../../test/support/nsqd.js';
import type { RunningRedis } from '../../test/support/redis.js';
import type { Result } from './result.js';

/** One row of work that can be run alone. */
export interface Bench {
  /** As on the command line. */
  readonly name: string;
  /** For `--list`. */
  readonly about: string;
  /**
   * Whether `npm run bench:check` runs it: it must be short, not depend on the disk or on many processes, and be so near to
   * its goal that less than half of it means a change.
   */
  readonly inCheck: boolean;
  run(context: BenchContext): Promise<void>;
}

export interface BenchContext {
  /** Empty at the start of every bench. Without persistence. */
  readonly redis: RunningRedis;
  /** With default flags; topics are ephemeral, so that its disk is not what is measured. */
  readonly nsqd: RunningNsqd;
  readonly rounds: number;
  /** Less of everything, to see that it works. */
  readonly quick: boolean;
  /** Bytes of an envelope. */
  readonly sizes: readonly number[];
  /** An empty folder, removed afterwards. */
  readonly folder: string;
  report(result: Result): void;
}

/** How many events of this size make a run: at most `events`, and no more than 64 MiB. */
export function countFor({ quick }: BenchContext, eventBytes: number, events: number): number {
  const wanted = quick ? events / 10 : events;
  return Math.max(100, Math.floor(Math.min(wanted, (64 * 1_048_576) / eventBytes)));
}

import type { HistoryEntry } from './history.js';
import type { Observations } from './observations.js';
import { duplicates } from './rules/duplicates.js';
import { leftovers } from './rules/leftovers.js';
import { losses } from './rules/losses.js';
import { order } from './rules/order.js';
import { outcomes } from './rules/outcomes.js';
import { visibility } from './rules/visibility.js';
import { type Stories, tellStories } from './stories.js';
import { countTotals, type Totals } from './totals.js';

/**
 * Compares every acknowledged operation with everything that was consumed, and says which guarantee was broken where.
 *
 * It trusts nobody: neither the library's receipts nor its metrics, only what callers were told, what the publisher was
 * called with, what nsqd handed out, and what the store holds at the end. Where it cannot know (an operation that
 * nobody heard of again) either outcome is fine, but not two of them.
 */
export function check(
  history: readonly HistoryEntry[],
  observations: Observations,
  settings: CheckerSettings,
): Verdict {
  const stories = tellStories(history, observations);
  const violations = [losses, visibility, duplicates, order, outcomes, leftovers].flatMap((rule) =>
    rule(stories, settings),
  );
  return { violations, totals: countTotals(stories, violations) };
}

/** Of the library as it is: see `sealed-work.ts`. */
export const RECOVERY_BATCH = 1_500;

export interface CheckerSettings {
  /** `inFlight` × `batchEvents`: how many events an interruption may publish a second time. */
  readonly window: number;
  /** Records that recovery may have done with before it marks them in the log, and one call more: what it may publish a second time. */
  readonly recoveryBatch: number;
  /** Contingency logs that are so small that they may be full. */
  readonly smallLogs?: readonly string[];
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly totals: Totals;
}

export interface Violation {
  readonly guarantee: 'G1' | 'G2' | 'G3' | 'G4' | 'G5' | 'G6' | 'G7' | 'G8';
  readonly rule: RuleName;
  readonly sessionId?: string | undefined;
  readonly message: string;
}

export type RuleName =
  | 'event lost'
  | 'event not in store'
  | 'session lost'
  | 'lost by the broker'
  | 'published without commit'
  | 'published before commit'
  | 'unknown event'
  | 'stored twice'
  | 'unexplained copy'
  | 'duplicates beyond the bound'
  | 'out of order'
  | 'wrong sequence'
  | 'not in order of acceptance'
  | 'two outcomes'
  | 'receipts differ'
  | 'dishonest receipt'
  | 'expected events ignored'
  | 'end not carried out'
  | 'session unfinished'
  | 'aborted'
  | 'never settled'
  | 'process crashed'
  | 'process hung'
  | 'unexplained quarantine'
  | 'backlog left';

export type Rule = (stories: Stories, settings: CheckerSettings) => Violation[];

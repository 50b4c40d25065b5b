import { createHistogram } from 'node:perf_hooks';
import type { ContingencyBacklog } from '../ports/contingency-log.js';
import { isSystemFailure, messageOf, SYSTEM_FAILURES } from './errors.js';
import { forgetOldest } from './forget-oldest.js';

/** What an instance has done since it was created, and what waits for recovery. */
export interface MetricsSnapshot {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly instanceId: string;
  readonly uptimeMs: number;
  readonly events: {
    /** Taken by `add`, without duplicates. */
    readonly added: number;
    /** `published + deferred + failed`: events that commits have dealt with, once each. */
    readonly processed: number;
    /** Acknowledged by the broker at a commit. */
    readonly published: number;
    /** Written to the contingency log at a commit, because the broker could not take them. */
    readonly deferred: number;
    /**
     * Left in the store by commits that failed: neither the broker nor the log took them. When another attempt deals
     * with them, they no longer count here: the instance that makes it counts them.
     */
    readonly failed: number;
    /** Published by recovery from the contingency log, deferred or late. Not part of `processed`. */
    readonly recovered: number;
    /** `published / processed`, from 0 to 1; 1 when nothing has been processed. */
    readonly successRate: number;
    /** Events processed in the 60 s before the snapshot. */
    readonly perMinute: number;
  };
  readonly sessions: {
    /** `open` or `committing`, in all instances, as the store counts them; undefined when it cannot be asked. */
    readonly active: number | undefined;
    /** Counts of this instance. */
    readonly started: number;
    readonly committed: number;
    readonly rolledBack: number;
    readonly expired: number;
  };
  /** Time from the call of commit to its receipt, over commits that this instance brought to `committed`. */
  readonly commitDuration: {
    readonly count: number;
    readonly meanMs: number;
    /** Percentiles of an HDR histogram with three significant digits, since the start. */
    readonly p50Ms: number;
    readonly p95Ms: number;
    readonly p99Ms: number;
  };
  /** Failures of the store, the broker or the log since the start, including those that the log made up for. */
  readonly failures: Readonly<Record<FailureCode, number>>;
  /** The last 50 of them, newest last. */
  readonly recentFailures: readonly FailureEntry[];
  /** What waits for recovery; undefined without a contingency log, or when it cannot be asked. */
  readonly contingency: ContingencyBacklog | undefined;
}

export const FAILURE_CODES = [...SYSTEM_FAILURES, 'UNKNOWN'] as const;

/** `UNKNOWN`: something was thrown that is not an error of this library, by a defect in it or in an adapter. */
export type FailureCode = (typeof FAILURE_CODES)[number];

export interface FailureEntry {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The command, or the kind of record that was written instead. */
  readonly operation: string;
  readonly sessionId: string | undefined;
  readonly code: FailureCode;
  readonly message: string;
  /** The message of its `cause`. */
  readonly cause: string | undefined;
}

/** Counts what happens. Every method is cheap and never throws. */
export interface Metrics {
  eventsAdded(count: number): void;
  eventsPublished(count: number): void;
  eventsDeferred(count: number): void;
  /** A commit has failed and left so many events of the session. */
  eventsFailed(sessionId: string, count: number): void;
  /** Another attempt, of whatever instance, deals with what an earlier one has left of the session. */
  eventsTriedAgain(sessionId: string): void;
  /** Sessions of which failed commits have left events. */
  leftOver(): readonly string[];
  eventsRecovered(count: number): void;
  sessionStarted(): void;
  sessionCommitted(durationMs: number): void;
  sessionRolledBack(): void;
  sessionExpired(): void;
  failure(operation: string, sessionId: string | undefined, error: unknown): void;
  snapshot(waiting: {
    active: number | undefined;
    contingency: ContingencyBacklog | undefined;
  }): MetricsSnapshot;
}

const RECENT_FAILURES = 50;
/**
 * Sessions of which it is remembered how many events a failed commit left; of older ones they stay counted as failed.
 */
const MAX_LEFT_OVER = 10_000;
const SLOT_MS = 1_000;
const SLOTS = 60;

export interface Clocks {
  /** Milliseconds since the epoch. It may be set, forward and back. */
  readonly now: () => number;
  /** Milliseconds that only pass. */
  readonly elapsed: () => number;
}

const CLOCKS: Clocks = { now: Date.now, elapsed: () => performance.now() };

export function createMetrics(instanceId: string, { now, elapsed }: Clocks = CLOCKS): Metrics {
  const startedAt = elapsed();
  const counts = {
    added: 0,
    recovered: 0,
    published: 0,
    deferred: 0,
    failed: 0,
    started: 0,
    committed: 0,
    rolledBack: 0,
    expired: 0,
  };
  const failures = Object.fromEntries(FAILURE_CODES.map((code) => [code, 0])) as Record<FailureCode, number>;
  const recentFailures: FailureEntry[] = [];
  const leftOver = new Map<string, Counted>();
  const microseconds = createHistogram();
  const window = createSlidingWindow(elapsed);

  function eventsTriedAgain(sessionId: string): void {
    const counted = leftOver.get(sessionId);
    if (counted === undefined) return;
    leftOver.delete(sessionId);
    counts.failed -= counted.count;
    window.takeBack(counted);
  }

  return {
    eventsAdded: (count) => {
      counts.added += count;
    },
    eventsPublished: (count) => {
      counts.published += count;
      window.add(count);
    },
    eventsDeferred: (count) => {
      counts.deferred += count;
      window.add(count);
    },
    eventsFailed: (sessionId, count) => {
      eventsTriedAgain(sessionId);
      counts.failed += count;
      leftOver.set(sessionId, window.add(count));
      forgetOldest(leftOver, MAX_LEFT_OVER);
    },
    eventsTriedAgain,
    leftOver: () => [...leftOver.keys()],
    eventsRecovered: (count) => {
      counts.recovered += count;
    },
    sessionStarted: () => {
      counts.started += 1;
    },
    sessionCommitted: (durationMs) => {
      counts.committed += 1;
      microseconds.record(Math.max(1, Math.round(durationMs * 1_000)));
    },
    sessionRolledBack: () => {
      counts.rolledBack += 1;
    },
    sessionExpired: () => {
      counts.expired += 1;
    },
    failure: (operation, sessionId, error) => {
      const entry = describeFailure(now(), operation, sessionId, error);
      failures[entry.code] += 1;
      recentFailures.push(entry);
      if (recentFailures.length > RECENT_FAILURES) recentFailures.shift();
    },
    snapshot: ({ active, contingency }) => {
      const at = now();
      const processed = counts.published + counts.deferred + counts.failed;
      const none = microseconds.count === 0;
      const percentile = (p: number) => (none ? 0 : microseconds.percentile(p) / 1_000);
      return frozen({
        at,
        instanceId,
        uptimeMs: elapsed() - startedAt,
        events: {
          added: counts.added,
          processed,
          published: counts.published,
          deferred: counts.deferred,
          failed: counts.failed,
          recovered: counts.recovered,
          successRate: processed === 0 ? 1 : counts.published / processed,
          perMinute: window.total(),
        },
        sessions: {
          active,
          started: counts.started,
          committed: counts.committed,
          rolledBack: counts.rolledBack,
          expired: counts.expired,
        },
        commitDuration: {
          count: microseconds.count,
          meanMs: none ? 0 : microseconds.mean / 1_000,
          p50Ms: percentile(50),
          p95Ms: percentile(95),
          p99Ms: percentile(99),
        },
        failures: { ...failures },
        recentFailures: [...recentFailures],
        contingency: contingency && { ...contingency },
      });
    },
  };
}

/** Deeply frozen: listeners share a snapshot, and snapshots share their failures. */
function frozen<T extends object>(value: T): T {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) frozen(member);
  return Object.freeze(value);
}

/** What was counted, and when. */
interface Counted {
  readonly count: number;
  readonly slot: number;
}

function createSlidingWindow(elapsed: () => number) {
  const slots = new Array<number>(SLOTS).fill(0);
  let current = Math.floor(elapsed() / SLOT_MS);

  function turn() {
    const slot = Math.floor(elapsed() / SLOT_MS);
    for (let passed = Math.min(slot - current, SLOTS); passed > 0; passed -= 1) {
      slots[(slot - passed + 1) % SLOTS] = 0;
    }
    current = slot;
  }

  function put(slot: number, count: number) {
    slots[slot % SLOTS] = (slots[slot % SLOTS] ?? 0) + count;
  }

  return {
    add(count: number): Counted {
      turn();
      put(current, count);
      return { count, slot: current };
    },
    takeBack({ count, slot }: Counted) {
      turn();
      if (current - slot < SLOTS) put(slot, -count);
    },
    total() {
      turn();
      return slots.reduce((sum, count) => sum + count, 0);
    },
  };
}

function describeFailure(
  at: number,
  operation: string,
  sessionId: string | undefined,
  error: unknown,
): FailureEntry {
  const cause = causeOf(error);
  return {
    at,
    operation,
    sessionId,
    code: isSystemFailure(error) ? error.code : 'UNKNOWN',
    message: messageOf(error),
    cause: cause === undefined ? undefined : messageOf(cause),
  };
}

function causeOf(error: unknown): unknown {
  try {
    return error instanceof Error ? error.cause : undefined;
  } catch {
    return undefined;
  }
}

import { type CheckerSettings, RECOVERY_BATCH } from './checker.js';

/** Short leases and deadlines, so that a minute has room for many faults, and small windows, so that bounds are felt. */
export const COMMIT = { batchEvents: 4, inFlight: 2, leaseMs: 1_000, retries: 2 } as const;
export const RECOVERY_INTERVAL_MS = 500;
export const REDIS_DEADLINE_MS = 400;
export const NSQ = {
  deadlineMs: 500,
  connectTimeoutMs: 300,
  reconnect: { minMs: 50, maxMs: 300 },
} as const;
export const TOPICS = ['chaos-a', 'chaos-b', 'chaos-c'] as const;

/** nsqd gets messages of this body when it starts: see `servers.ts`. */
export const WARM_UP = 'warm-up';

export const CHECKER: CheckerSettings = {
  window: COMMIT.batchEvents * COMMIT.inFlight,
  recoveryBatch: RECOVERY_BATCH,
  smallLogs: ['log-c'],
};

/** What a worker does, and how much of it. */
export interface Workload {
  /** Sessions that a worker looks after at once. */
  readonly lanes: number;
  /** Most events of an ordinary session, and of a large one. */
  readonly events: number;
  readonly largeEvents: number;
  /** Probabilities. */
  readonly large: number;
  readonly shared: number;
  readonly rollback: number;
  /** Committed and rolled back at once. */
  readonly raced: number;
  readonly abandoned: number;
  readonly shortLived: number;
  readonly expecting: number;
  /** Milliseconds between two steps of a session, at most. */
  readonly pauseMs: number;
}

export const EVERYTHING: Workload = {
  lanes: 3,
  events: 12,
  largeEvents: 70,
  large: 0.12,
  shared: 0.4,
  rollback: 0.2,
  raced: 0.1,
  abandoned: 0.05,
  shortLived: 0.03,
  expecting: 0.3,
  pauseMs: 40,
};

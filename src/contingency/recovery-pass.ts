import type { DomainEvents } from '../core/domain-events.js';
import type { CommitReceipt } from '../core/lifecycle.js';
import type { Metrics } from '../core/metrics.js';
import type { ContingencyLog } from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import type { SessionStore } from '../ports/session-store.js';
import type { EventProcessor } from '../publishing/event-processor.js';
import type { HeldRecords } from './held-records.js';
import type { KnownEnds } from './known-ends.js';
import type { FailingSessions, PassBroker } from './pass-broker.js';
import type { ReplayContext } from './replay.js';

export interface RecoverOptions {
  /** Called after every session and every few hundred records. Errors that it throws or rejects with are logged. */
  readonly onProgress?: ((progress: RecoveryProgress) => unknown) | undefined;
}

/** Counts of the pass so far. */
export interface RecoveryProgress extends Omit<RecoveryReport, 'durationMs' | 'complete' | 'remaining'> {
  /** Records found in the log so far: a pass publishes while it reads, so at first these are not all. */
  readonly records: number;
  /** How many of these records are still to be dealt with. */
  readonly remaining: number;
}

/** What one recovery pass has done. */
export interface RecoveryReport {
  /** Sessions that had something to recover: records in the log, an interrupted commit, an expiry. */
  readonly sessions: number;
  /** Events brought back from the log into their sessions. */
  readonly events: number;
  /** Events published: deferred ones, late ones, and those of commits that were finished. */
  readonly published: number;
  /**
   * How many of those may have been published before: their outcome was unknown, or an attempt died, or lost the store,
   * with batches in flight. An upper bound, except for earlier passes that died or were cut off, and for commits that
   * failed with `CONTINGENCY_FAILED`, or with outcome `unknown`, as their callers were told.
   */
  readonly duplicatesPossible: number;
  /** Events that are no longer to be published: their session was rolled back or has expired. */
  readonly discarded: number;
  /** Records that can never be replayed, now in quarantine. */
  readonly quarantined: number;
  /**
   * Commits that no recovery can finish, because the store has lost events of their session (`SESSION_CORRUPT`). The
   * next pass finds them again; docs/operations.md says what to do.
   */
  readonly corrupt: number;
  /** Records still in the log: the store or the broker is down, or the log of another host has what they lack. */
  readonly remaining: number;
  /**
   * False when records remain, the store or the broker was down at some point, or another recovery is at work. Recover
   * again then.
   */
  readonly complete: boolean;
  readonly durationMs: number;
}

export interface RecoveryConfig {
  readonly log: ContingencyLog | undefined;
  readonly held: HeldRecords;
  readonly ends: KnownEnds;
  /** One call of the store, through the circuit breaker. */
  readonly ask: <T>(call: (store: SessionStore) => Promise<T>) => Promise<T>;
  /** A commit whose outages are errors, not more records. */
  readonly commit: (input: { sessionId: string }) => Promise<CommitReceipt>;
  readonly processor: EventProcessor;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly replay: ReplayContext;
  /** How long a record waits for what another instance's log may have of its session, before it is quarantined. */
  readonly patienceMs: number;
  /** Events that an attempt may have in flight when it dies. */
  readonly window: number;
  /** Aborts when the instance closes: a pass then ends behind what it is at. */
  readonly closing: AbortSignal;
}

export function isStoreAway({ ask }: Pick<RecoveryConfig, 'ask'>): Promise<boolean> {
  return ask((store) => store.ping()).then(
    () => false,
    () => true,
  );
}

/**
 * What a pass works with and what it has found out. Once the store has failed in a pass, it is not asked again: the
 * rest stays for the next one, instead of paying the same wait for every session.
 */
export interface RecoveryPass extends RecoveryConfig {
  readonly tally: { -readonly [K in Exclude<keyof RecoveryProgress, 'records' | 'remaining'>]: number };
  readonly progress: () => void;
  readonly down: { store: boolean };
  readonly broker: PassBroker;
  readonly failing: FailingSessions;
}

import type { DomainEvents } from '../core/domain-events.js';
import { messageOf } from '../core/errors.js';
import type { CommitReceipt } from '../core/lifecycle.js';
import type { Metrics } from '../core/metrics.js';
import type {
  ContingencyLog,
  ContingencyRecord,
  QuarantinedEntry,
  SealedRecords,
} from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import type { SessionStore } from '../ports/session-store.js';
import type { EventProcessor } from '../publishing/event-processor.js';
import type { HeldMark, HeldRecords } from './held-records.js';
import { recoverInterrupted } from './recover-interrupted.js';
import { recoverSession } from './recover-session.js';
import type { ReplayContext } from './replay.js';

export interface RecoverOptions {
  /** Called after each session. What it throws is logged. */
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
}

export type RecoveryProgress = Omit<RecoveryReport, 'durationMs' | 'remaining' | 'complete'>;

export interface RecoveryReport {
  /** Sessions that had something to recover: records in the log, an interrupted commit, an expiry. */
  readonly sessions: number;
  /** Events brought back from the log into their sessions. */
  readonly events: number;
  /** Events published: deferred ones, late ones, and those of commits that were finished. */
  readonly published: number;
  /** Events that must not be published any more: their session was rolled back or has expired. */
  readonly discarded: number;
  /** Records that can never be replayed, now in quarantine. */
  readonly quarantined: number;
  /** Records that are still in the log, because the store or the broker is still down. */
  readonly remaining: number;
  /** False when the store or the broker was down for some of it: recover again. */
  readonly complete: boolean;
  readonly durationMs: number;
}

export interface RecoveryConfig {
  readonly log: ContingencyLog | undefined;
  readonly held: HeldRecords;
  /** One call of the store, with the breaker. */
  readonly ask: <T>(call: (store: SessionStore) => Promise<T>) => Promise<T>;
  /** A commit whose outages are errors, not more records. */
  readonly commit: (input: { sessionId: string }) => Promise<CommitReceipt>;
  readonly processor: EventProcessor;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly replay: ReplayContext;
}

/**
 * What a pass works with and what it has found out. Once the store or the broker has failed in a pass, it is not asked
 * again: the rest stays for the next one, instead of paying the same wait for every session.
 */
export interface RecoveryPass extends RecoveryConfig {
  readonly tally: { -readonly [K in keyof RecoveryProgress]: number };
  readonly progress: () => void;
  readonly down: { store: boolean; broker: boolean };
}

/**
 * One pass over everything that is owed: first the contingency log, then the sessions in the store that nobody looks
 * after any more. Safe to stop at any point and to run in several processes at once: the log lets one at a time in,
 * and what touches the store is idempotent.
 */
export function createRecovery(
  config: RecoveryConfig,
): (options?: RecoverOptions) => Promise<RecoveryReport> {
  const { log, held, logger } = config;
  let running: Promise<RecoveryReport> | undefined;

  async function run(onProgress: RecoverOptions['onProgress']): Promise<RecoveryReport> {
    const startedAt = performance.now();
    const tally = { sessions: 0, events: 0, published: 0, discarded: 0, quarantined: 0 };
    const down = { store: false, broker: false };
    const progress = () => {
      try {
        onProgress?.({ ...tally });
      } catch (error) {
        logger.error('onProgress of recover threw', { error });
      }
    };
    const pass: RecoveryPass = { ...config, tally, down, progress };

    const mark = held.mark();
    const sealed = await log?.seal();
    const remaining = sealed === undefined ? 0 : await recoverLog(pass, sealed, mark);
    await recoverInterrupted(pass);
    const complete = remaining === 0 && !down.store && !down.broker;
    return { ...tally, remaining, complete, durationMs: performance.now() - startedAt };
  }

  return ({ onProgress } = {}) => {
    running ??= run(onProgress).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** Answers how many records stay. */
async function recoverLog(pass: RecoveryPass, sealed: SealedRecords, mark: HeldMark): Promise<number> {
  const { held, events, logger, tally } = pass;
  try {
    const { sessions, unreadable } = await readSessions(sealed);
    const keep: ContingencyRecord[] = [];
    const quarantine: QuarantinedEntry[] = [...unreadable];
    const unfinished = new Set<string>();
    for (const [sessionId, records] of sessions) {
      const result = await recoverSession(pass, sessionId, records);
      keep.push(...result.keep);
      quarantine.push(...result.quarantine);
      if (result.keep.length > 0) unfinished.add(sessionId);
      tally.sessions += 1;
      pass.progress();
    }
    await sealed.finish({ keep, quarantine });
    tally.quarantined += quarantine.length;
    held.forget(mark, unfinished);
    for (const entry of quarantine) {
      const sessionId = 'record' in entry ? entry.record.sessionId : undefined;
      logger.error('A contingency record was quarantined', { sessionId, reason: entry.reason });
      events.emit('contingency.quarantined', { sessionId, reason: entry.reason });
    }
    return keep.length;
  } catch (error) {
    await sealed.release().catch((failure) => {
      logger.error('Sealed records could not be given back', { cause: messageOf(failure) });
    });
    throw error;
  }
}

async function readSessions(sealed: SealedRecords) {
  const sessions = new Map<string, ContingencyRecord[]>();
  const unreadable: QuarantinedEntry[] = [];
  for await (const entry of sealed.read()) {
    if ('record' in entry) {
      const known = sessions.get(entry.record.sessionId);
      if (known === undefined) sessions.set(entry.record.sessionId, [entry.record]);
      else known.push(entry.record);
    } else {
      unreadable.push(entry);
    }
  }
  return { sessions, unreadable };
}

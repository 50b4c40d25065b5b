import type { DomainEvents } from '../core/domain-events.js';
import { isEventSessionsError } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import type { CommitReceipt } from '../core/lifecycle.js';
import { type Metrics, messageOf } from '../core/metrics.js';
import type {
  ContingencyLog,
  ContingencyRecord,
  EventAddedRecord,
  EventUnpublishedRecord,
  QuarantinedEntry,
  SealedRecords,
} from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import type { SessionStore } from '../ports/session-store.js';
import type { EventProcessor } from '../publishing/event-processor.js';
import type { HeldRecords } from './held-records.js';
import { type NotReplayed, type ReplayContext, replayIntoStore } from './replay.js';

export interface RecoverOptions {
  /** Called after each session. What it throws is logged. */
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined;
}

export type RecoveryProgress = Omit<RecoveryReport, 'durationMs' | 'remaining'>;

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
 * One pass over everything that is owed: first the contingency log, then the sessions in the store that nobody looks
 * after any more. Safe to stop at any point and to run in several processes at once: the log lets one at a time in,
 * and what touches the store is idempotent.
 */
export function createRecovery(
  config: RecoveryConfig,
): (options?: RecoverOptions) => Promise<RecoveryReport> {
  const { log, held, ask, commit, processor, events: domainEvents, metrics, logger, replay } = config;
  let running: Promise<RecoveryReport> | undefined;

  async function pass(onProgress: RecoverOptions['onProgress']): Promise<RecoveryReport> {
    const startedAt = performance.now();
    const tally = { sessions: 0, events: 0, published: 0, discarded: 0, quarantined: 0 };
    const progress = () => {
      try {
        onProgress?.({ ...tally });
      } catch (error) {
        logger.error('onProgress of recover threw', { error });
      }
    };

    const mark = held.mark();
    const sealed = await log?.seal();
    const remaining = sealed === undefined ? 0 : await recoverLog(sealed, tally, mark, progress);
    await recoverSessions(tally, progress);
    return { ...tally, remaining, durationMs: performance.now() - startedAt };
  }

  async function recoverLog(
    sealed: SealedRecords,
    tally: Tally,
    mark: ReturnType<HeldRecords['mark']>,
    progress: () => void,
  ) {
    try {
      const { sessions, unreadable } = await readSessions(sealed);
      const keep: ContingencyRecord[] = [];
      const quarantine: QuarantinedEntry[] = [...unreadable];
      const unfinished = new Set<string>();
      for (const [sessionId, records] of sessions) {
        const result = await recoverSession(sessionId, records, tally);
        keep.push(...result.keep);
        quarantine.push(...result.quarantine);
        if (result.keep.length > 0) unfinished.add(sessionId);
        tally.sessions += 1;
        progress();
      }
      tally.quarantined += quarantine.length;
      await sealed.finish({ keep, quarantine });
      held.forget(mark, unfinished);
      for (const entry of quarantine) {
        const sessionId = 'record' in entry ? entry.record.sessionId : undefined;
        logger.error('A contingency record was quarantined', { sessionId, reason: entry.reason });
        domainEvents.emit('contingency.quarantined', { sessionId, reason: entry.reason });
      }
      return keep.length;
    } catch (error) {
      await sealed
        .release()
        .catch((failure) => logger.error('Sealed records could not be given back', { error: failure }));
      throw error;
    }
  }

  /** All records of one session, in order. A store or broker that is down keeps them for the next pass. */
  async function recoverSession(
    sessionId: string,
    all: readonly ContingencyRecord[],
    tally: Tally,
  ): Promise<SessionResult> {
    const publishedBefore = tally.published;
    const quarantine: QuarantinedEntry[] = [];
    const keep: ContingencyRecord[] = [];
    const unpublished = all.filter((record) => record.kind === 'event.unpublished');
    const forStore = all.filter((record) => record.kind !== 'event.unpublished');
    const firstEnd = forStore.find(
      ({ kind }) => kind === 'session.commit_requested' || kind === 'session.rollback_requested',
    );
    const rolledBack = firstEnd?.kind === 'session.rollback_requested';
    // A rollback wins over the adds before it: they need not pass through the store first.
    const records = rolledBack ? forStore.filter(({ kind }) => kind !== 'event.added') : forStore;
    tally.discarded += forStore.length - records.length;
    try {
      const problems = await ask((store) => replayIntoStore(store, records, replay));
      const late = problems.filter(isLate);
      for (const { record, problem } of problems) {
        if (problem === 'session_discarded') tally.discarded += 1;
        else if (!lateProblem(problem)) quarantine.push({ record, reason: REASONS[problem] });
      }
      tally.events += records.filter(({ kind }) => kind === 'event.added').length - late.length;
      const refused = problems.some(({ record }) => record === firstEnd);
      const commitRequested = firstEnd?.kind === 'session.commit_requested' && !refused;
      if (commitRequested || late.some(({ problem }) => problem === 'session_committing')) {
        await finishCommit(sessionId, tally);
      }
      keep.push(
        ...(await publishLate(
          sessionId,
          late.map(({ record }) => record as EventAddedRecord),
          tally,
          quarantine,
        )),
      );
    } catch (error) {
      logger.warn('A session could not be recovered yet', {
        sessionId,
        records: all.length,
        cause: messageOf(error),
      });
      return { keep: all, quarantine };
    }
    const owed = new Map(
      (unpublished as EventUnpublishedRecord[]).map((record) => [record.sequence, record]),
    );
    keep.push(...(await publishRecords(sessionId, owed, tally, quarantine)));
    const published = tally.published - publishedBefore;
    domainEvents.emit('contingency.recovered', { sessionId, records: all.length - keep.length, published });
    logger.info('Contingency records recovered', { sessionId, records: all.length - keep.length, published });
    return { keep, quarantine };
  }

  /** Events that were acknowledged, but whose session was committed without them: published behind the others. */
  async function publishLate(
    sessionId: string,
    records: readonly EventAddedRecord[],
    tally: Tally,
    quarantine: QuarantinedEntry[],
  ) {
    if (records.length === 0) return [];
    const session = await ask((store) => store.get(sessionId));
    const sequenceOf = (i: number) => (session?.events ?? 0) + i + 1;
    return publishRecords(
      sessionId,
      new Map(records.map((record, i) => [sequenceOf(i), record])),
      tally,
      quarantine,
    );
  }

  /** Publishes records by their sequence; answers those that have to wait. */
  async function publishRecords(
    sessionId: string,
    records: ReadonlyMap<number, EventAddedRecord | EventUnpublishedRecord>,
    tally: Tally,
    quarantine: QuarantinedEntry[],
  ): Promise<ContingencyRecord[]> {
    const recordOf = ({ sequence }: StoredEvent) => records.get(sequence) as ContingencyRecord;
    const events = [...records].map(([sequence, { topic, event }]) => ({ topic, sequence, json: event }));
    for (let i = 0; i < events.length; i += 500) {
      const batch = events.slice(i, i + 500);
      const { left, refused } = await processor.publishOwed(sessionId, batch);
      tally.published += batch.length - left.length - refused.length;
      quarantine.push(...refused.map((event) => ({ record: recordOf(event), reason: REFUSED })));
      if (left.length > 0) return [...left, ...events.slice(i + 500)].map(recordOf);
    }
    return [];
  }

  /** Sessions in the store whose lease or time has run out, of whatever instance. */
  async function recoverSessions(tally: Tally, progress: () => void): Promise<void> {
    const seen = new Set<string>();
    for (;;) {
      const due = (await ask((store) => store.due(100))).filter((sessionId) => !seen.has(sessionId));
      if (due.length === 0) return;
      for (const sessionId of due) {
        seen.add(sessionId);
        tally.sessions += 1;
        const expired = await ask((store) =>
          store.expire(sessionId, { retentionMs: replay.retentionMs, cause: { instance: replay.instance } }),
        );
        if (expired.outcome === 'expired') {
          tally.discarded += expired.discarded;
          metrics.sessionExpired();
          domainEvents.emit('session.expired', { sessionId, discarded: expired.discarded });
          logger.warn('Session expired', { sessionId, discarded: expired.discarded });
        } else if (expired.outcome === 'not_due') {
          await finishCommit(sessionId, tally).catch((error) => {
            logger.warn('An interrupted commit could not be finished yet', {
              sessionId,
              cause: messageOf(error),
            });
          });
        }
        progress();
      }
    }
  }

  async function finishCommit(sessionId: string, tally: Tally): Promise<void> {
    const before = await ask((store) => store.get(sessionId));
    try {
      const { published } = await commit({ sessionId });
      tally.published += Math.max(0, published - ((before?.cursor ?? 0) - (before?.deferred ?? 0)));
    } catch (error) {
      // It was ended by somebody else, or is about to be: then there is nothing to finish.
      const settled = ['COMMIT_IN_PROGRESS', 'SESSION_NOT_OPEN', 'SESSION_NOT_FOUND'] as const;
      if (!settled.some((code) => isEventSessionsError(error, code))) throw error;
    }
  }

  return ({ onProgress } = {}) => {
    running ??= pass(onProgress).finally(() => {
      running = undefined;
    });
    return running;
  };
}

type Tally = { -readonly [K in keyof RecoveryProgress]: number };

interface SessionResult {
  readonly keep: readonly ContingencyRecord[];
  readonly quarantine: readonly QuarantinedEntry[];
}

const REFUSED = 'the broker refuses this event for good';
const REASONS = {
  session_unknown: 'neither the store nor the log knows this session',
  events_mismatch: 'the session does not have the expected number of events; it was left open',
  already_ended: 'the session had already ended in another way',
};

const lateProblem = (problem: NotReplayed['problem']) =>
  problem === 'session_committed' || problem === 'session_committing';
const isLate = ({ record, problem }: NotReplayed) => record.kind === 'event.added' && lateProblem(problem);

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

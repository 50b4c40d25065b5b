import { isEventSessionsError, messageOf } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import type {
  CommitRequestedRecord,
  ContingencyRecord,
  EventAddedRecord,
  EventUnpublishedRecord,
  QuarantinedEntry,
  RollbackRequestedRecord,
} from '../ports/contingency-log.js';
import { finishCommit } from './recover-interrupted.js';
import type { RecoveryPass } from './recovery-pass.js';
import { type NotReplayed, type ReplayProblem, replayIntoStore } from './replay.js';

export interface RecoveredSession {
  /** For the next pass, in order. */
  readonly keep: readonly ContingencyRecord[];
  readonly quarantine: readonly QuarantinedEntry[];
}

const REFUSED = 'the broker refuses this event for good';
const REASONS: Partial<Record<ReplayProblem, string>> = {
  session_unknown: 'neither the store nor the log knows this session',
  events_mismatch: 'the session does not have the expected number of events; it was left open',
  already_ended: 'the session had already ended in another way',
};

/**
 * All of one session's records, read before anything is done: of several requests to end it the first counts, and a
 * rollback wins over the adds before it, which then need not pass through the store at all.
 */
export async function recoverSession(
  pass: RecoveryPass,
  sessionId: string,
  all: readonly ContingencyRecord[],
): Promise<RecoveredSession> {
  const { ask, events, logger, replay, tally, down } = pass;
  const publishedBefore = tally.published;
  const unpublished = all.filter(
    (record): record is EventUnpublishedRecord => record.kind === 'event.unpublished',
  );
  const forStore = all.filter((record) => record.kind !== 'event.unpublished');
  const end = forStore.find(isEnd);
  const isRollback = end?.kind === 'session.rollback_requested';
  const records = isRollback ? forStore.filter(({ kind }) => kind !== 'event.added') : forStore;
  const quarantine: QuarantinedEntry[] = [];
  const keep: ContingencyRecord[] = [];

  if (down.store && records.length > 0) return { keep: all, quarantine: [] };
  try {
    const problems =
      records.length === 0 ? [] : await ask((store) => replayIntoStore(store, records, replay));
    const late = problems.filter(isLate);
    for (const { record, problem } of problems) {
      const reason = REASONS[problem];
      if (reason !== undefined) quarantine.push({ record, reason });
    }
    const commitRefused = problems.some(({ record }) => record === end);
    const commitAsked = end?.kind === 'session.commit_requested' && !commitRefused;
    if (commitAsked || late.some(({ problem }) => problem === 'session_committing')) {
      await finishCommit(pass, sessionId);
    }
    keep.push(
      ...(await publishLate(
        pass,
        sessionId,
        late.map(({ record }) => record as EventAddedRecord),
        quarantine,
      )),
    );
    const discarded = problems.filter(({ problem }) => problem === 'session_discarded').length;
    tally.discarded += discarded + (forStore.length - records.length);
    tally.events += records.filter(({ kind }) => kind === 'event.added').length - late.length - discarded;
  } catch (error) {
    if (isEventSessionsError(error, 'STORE_UNAVAILABLE')) down.store = true;
    else down.broker = true;
    logger.warn('A session could not be recovered yet', {
      sessionId,
      records: all.length,
      cause: messageOf(error),
    });
    return { keep: all, quarantine: [] };
  }

  const owed = new Map(unpublished.map((record) => [record.sequence, record]));
  keep.push(...(await publishRecords(pass, sessionId, owed, quarantine)));
  const report = {
    sessionId,
    records: all.length - keep.length,
    published: tally.published - publishedBefore,
  };
  events.emit('contingency.recovered', report);
  logger.info('Contingency records recovered', report);
  return { keep, quarantine };
}

/** Events that were acknowledged, but whose session was committed without them: published behind the others. */
async function publishLate(
  pass: RecoveryPass,
  sessionId: string,
  records: readonly EventAddedRecord[],
  quarantine: QuarantinedEntry[],
): Promise<ContingencyRecord[]> {
  if (records.length === 0) return [];
  const session = await pass.ask((store) => store.get(sessionId));
  const events = session?.events ?? 0;
  return publishRecords(
    pass,
    sessionId,
    new Map(records.map((record, i) => [events + i + 1, record])),
    quarantine,
  );
}

/** Publishes records under these sequences; answers those that have to wait. */
async function publishRecords(
  { processor, tally, down }: RecoveryPass,
  sessionId: string,
  records: ReadonlyMap<number, EventAddedRecord | EventUnpublishedRecord>,
  quarantine: QuarantinedEntry[],
): Promise<ContingencyRecord[]> {
  const recordOf = ({ sequence }: StoredEvent) => records.get(sequence) as ContingencyRecord;
  const events = [...records].map(([sequence, { topic, event }]) => ({ topic, sequence, json: event }));
  for (let i = 0; i < events.length; i += BATCH) {
    if (down.broker) return events.slice(i).map(recordOf);
    const batch = events.slice(i, i + BATCH);
    const { left, refused } = await processor.publishOwed(sessionId, batch);
    tally.published += batch.length - left.length - refused.length;
    quarantine.push(...refused.map((event) => ({ record: recordOf(event), reason: REFUSED })));
    if (left.length === 0) continue;
    down.broker = true;
    return [...left, ...events.slice(i + BATCH)].map(recordOf);
  }
  return [];
}

const BATCH = 500;

function isEnd(record: ContingencyRecord): record is CommitRequestedRecord | RollbackRequestedRecord {
  return record.kind === 'session.commit_requested' || record.kind === 'session.rollback_requested';
}

function isLate({ record, problem }: NotReplayed): boolean {
  return (
    record.kind === 'event.added' && (problem === 'session_committed' || problem === 'session_committing')
  );
}

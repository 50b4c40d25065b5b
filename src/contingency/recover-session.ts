import { isEventSessionsError, messageOf } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import type {
  ContingencyRecord,
  EventAddedRecord,
  EventUnpublishedRecord,
} from '../ports/contingency-log.js';
import { finishCommit } from './recover-interrupted.js';
import type { RecoveryPass } from './recovery-pass.js';
import { type ReplayProblem, replayIntoStore } from './replay.js';
import type { Chunk, SealedWork } from './sealed-work.js';
import type { SessionBacklog } from './session-backlog.js';

const REFUSED = 'the broker refuses this event for good';
const REASONS: Partial<Record<ReplayProblem, string>> = {
  session_unknown: 'neither the store nor the log knows this session',
  events_mismatch: 'the session does not have the expected number of events; it was left open',
  already_ended: 'the session had already ended in another way',
  session_corrupt: 'the store has lost events of this session, so it cannot be committed',
};

/**
 * Carries out all that the log has of one session, of which everything was read before anything is done: of several
 * requests to end it the first counts, and a rollback wins over the adds before it, which then need not pass through
 * the store at all. Answers false when something has to wait for the next pass.
 */
export async function recoverSession(
  pass: RecoveryPass,
  work: SealedWork,
  session: SessionBacklog,
): Promise<boolean> {
  const { sessionId } = session;
  const before = { remaining: work.remaining, published: pass.tally.published };
  let done = true;
  try {
    if (session.forStore.length > 0) {
      if (pass.down.store) return false;
      done =
        session.end?.kind === 'session.rollback_requested'
          ? await rollBack(pass, work, session)
          : await bringBack(pass, work, session);
    }
    await work.settle(session.repeated);
    done = (await publishOwed(pass, work, session)) && done;
  } catch (error) {
    if (!isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
    pass.down.store = true;
    done = false;
    pass.logger.warn('A session could not be recovered yet', { sessionId, cause: messageOf(error) });
  }
  const records = before.remaining - work.remaining;
  if (records > 0) {
    const report = { sessionId, records, published: pass.tally.published - before.published };
    pass.events.emit('contingency.recovered', report);
    pass.logger.info('Contingency records recovered', report);
  }
  return done;
}

/** The adds need not pass through the store; they are done with as soon as the rollback is in there. */
async function rollBack(pass: RecoveryPass, work: SealedWork, session: SessionBacklog): Promise<boolean> {
  const done: number[] = [];
  for await (const chunk of work.chunks(session.forStore)) {
    const { settled, quarantined } = await replay(pass, {
      places: chunk.places.filter((_, i) => chunk.records[i]?.kind !== 'event.added'),
      records: chunk.records.filter(({ kind }) => kind !== 'event.added'),
    });
    await work.quarantine(quarantined);
    for (const place of settled) done.push(place);
    for (const [i, place] of chunk.places.entries()) {
      if (chunk.records[i]?.kind === 'event.added') done.push(place);
    }
  }
  pass.tally.discarded += session.events;
  await work.settle(done);
  return true;
}

/** Into the store, and if a commit was asked for, on to the broker. */
async function bringBack(pass: RecoveryPass, work: SealedWork, session: SessionBacklog): Promise<boolean> {
  const { sessionId, end } = session;
  const late: number[] = [];
  let mustCommit = end !== undefined;
  for await (const chunk of work.chunks(session.forStore)) {
    if (pass.closing.aborted) return false;
    const result = await replay(pass, chunk);
    await work.quarantine(result.quarantined);
    if (result.quarantined.some(({ place }) => place === end?.place)) mustCommit = false;
    if (result.committing) mustCommit = true;
    for (const place of result.late) late.push(place);
    await work.settle(result.settled);
  }
  if (mustCommit && !(await finishCommit(pass, sessionId))) return late.length === 0;
  return late.length === 0 || publishLate(pass, work, sessionId, late);
}

interface Replayed {
  readonly settled: number[];
  readonly quarantined: { place: number; record: ContingencyRecord; reason: string }[];
  /** Events that were acknowledged, but whose session is being committed, or has been, without them. */
  readonly late: number[];
  readonly committing: boolean;
}

async function replay(pass: RecoveryPass, { places, records }: Chunk): Promise<Replayed> {
  const notReplayed = await pass.ask((store) => replayIntoStore(store, records, pass.replay));
  const problems = new Map(notReplayed.map(({ record, problem }) => [record, problem]));
  const result: Replayed = {
    settled: [],
    quarantined: [],
    late: [],
    committing: notReplayed.some(({ problem }) => problem === 'session_committing'),
  };
  records.forEach((record, i) => {
    const place = places[i] as number;
    const problem = problems.get(record);
    const reason = problem && REASONS[problem];
    if (reason !== undefined) result.quarantined.push({ place, record, reason });
    else if (problem === 'session_committing' || problem === 'session_committed') result.late.push(place);
    else {
      result.settled.push(place);
      if (problem === 'session_discarded') pass.tally.discarded += 1;
      else if (record.kind === 'event.added') pass.tally.events += 1;
    }
  });
  return result;
}

/** Late events come behind the others of their session, so it must have been committed by now. */
async function publishLate(
  pass: RecoveryPass,
  work: SealedWork,
  sessionId: string,
  places: readonly number[],
): Promise<boolean> {
  const session = await pass.ask((store) => store.get(sessionId));
  if (session?.status === 'committing') return false;
  let sequence = session?.events ?? 0;
  return publish(pass, work, sessionId, places, () => (sequence += 1));
}

function publishOwed(pass: RecoveryPass, work: SealedWork, session: SessionBacklog): Promise<boolean> {
  return publish(pass, work, session.sessionId, session.owed, (record) => {
    if ('outcome' in record && record.outcome === 'unknown') pass.tally.duplicatesPossible += 1;
    return (record as EventUnpublishedRecord).sequence;
  });
}

async function publish(
  pass: RecoveryPass,
  work: SealedWork,
  sessionId: string,
  places: readonly number[],
  sequenceOf: (record: EventAddedRecord | EventUnpublishedRecord) => number,
): Promise<boolean> {
  const { processor, tally, down, closing } = pass;
  if (places.length > 0 && down.broker) return false;
  for await (const chunk of work.chunks(places)) {
    if (closing.aborted) return false;
    const records = chunk.records as readonly (EventAddedRecord | EventUnpublishedRecord)[];
    const events = records.map((record): StoredEvent => {
      const { topic, event } = record;
      return { topic, sequence: sequenceOf(record), json: event };
    });
    const { left, refused } = await processor.publishOwed(sessionId, events);
    const [isLeft, isRefused] = [new Set(left), new Set(refused)];
    const placesOf = (wanted: (event: StoredEvent) => boolean) =>
      chunk.places.filter((_, i) => wanted(events[i] as StoredEvent));
    tally.published += events.length - left.length - refused.length;
    await work.settle(placesOf((event) => !isLeft.has(event) && !isRefused.has(event)));
    await work.quarantine(
      records.flatMap((record, i) =>
        isRefused.has(events[i] as StoredEvent)
          ? [{ place: chunk.places[i] as number, record, reason: REFUSED }]
          : [],
      ),
    );
    if (left.length === 0) continue;
    down.broker = true;
    return false;
  }
  return true;
}

import { isEventSessionsError, messageOf } from '../core/errors.js';
import { eventIdOf } from '../core/event.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import { isEnd } from './held-records.js';
import { addTo, NOTHING, publishChunk, publishOwedLast } from './publish-owed.js';
import { finishCommit } from './recover-interrupted.js';
import { isStoreAway, type RecoveryPass } from './recovery-pass.js';
import { mayPass, QUARANTINE_REASONS } from './recovery-rules.js';
import { replayIntoStore } from './replay.js';
import type { Chunk, SealedWork } from './sealed-work.js';
import type { SessionBacklog } from './session-backlog.js';

/**
 * Brings to the store what the log has for it of one session. All of it has been read before: of several requests to
 * end the session only one counts, and the adds before a rollback need not pass through the store at all. Returns false
 * when something has to wait for the store.
 */
export async function recoverSession(
  pass: RecoveryPass,
  work: SealedWork,
  session: SessionBacklog,
): Promise<boolean> {
  const { sessionId } = session;
  const before = { done: work.done, published: pass.tally.published };
  let isBack = true;
  try {
    await publishOwedLast(pass, work, session);
    if (session.forStore.length > 0) isBack = await bringToStore(pass, work, session);
  } catch (error) {
    if (!isEventSessionsError(error, 'STORE_UNAVAILABLE')) throw error;
    // Is it this one session, or the store as a whole?
    pass.down.store = await isStoreAway(pass);
    isBack = false;
    pass.logger.warn('A session could not be recovered yet', { sessionId, cause: messageOf(error) });
  }
  addTo(session, { records: work.done - before.done, published: pass.tally.published - before.published });
  tellRecovered(pass, session);
  return isBack;
}

/** Tells what was recovered of the session since it was last told, if anything was. */
export function tellRecovered({ events, logger }: RecoveryPass, session: SessionBacklog): void {
  const { sessionId, recovered } = session;
  if (recovered.records === 0) return;
  session.recovered = NOTHING;
  const report = { sessionId, ...recovered };
  events.emit('contingency.recovered', report);
  logger.info('Contingency records recovered', report);
}

/** Returns false when something has to wait for the store. */
async function bringToStore(pass: RecoveryPass, work: SealedWork, session: SessionBacklog): Promise<boolean> {
  if (pass.down.store) return false;
  const { isBack, late } =
    session.end?.kind === 'session.rollback_requested'
      ? await rollBack(pass, work, session)
      : await bringBack(pass, work, session.sessionId, session.forStore);
  await publishLate(pass, work, session.sessionId, late);
  return isBack;
}

interface BroughtBack {
  /** Nothing of it has to wait for the store. */
  readonly isBack: boolean;
  /** Events that can only be published behind all others of the session. */
  readonly late: readonly number[];
}

const WAITING: BroughtBack = { isBack: false, late: [] };

/**
 * The adds need not pass through the store: they are settled once the rollback is in there. A commit that yields to the
 * rollback must not be granted before it.
 */
async function rollBack(pass: RecoveryPass, work: SealedWork, session: SessionBacklog): Promise<BroughtBack> {
  const done: number[] = [];
  const adds: number[] = [];
  const otherEnds: number[] = [];
  let refused = false;
  for await (const { places, records } of work.chunks(session.forStore)) {
    const first = { places: [] as number[], records: [] as ContingencyRecord[] };
    for (const [i, place] of places.entries()) {
      const record = records[i] as ContingencyRecord;
      if (record.kind === 'event.added') adds.push(place);
      else if (isEnd(record) && place !== session.end?.place) otherEnds.push(place);
      else {
        first.places.push(place);
        first.records.push(record);
      }
    }
    const result = await replay(pass, first);
    if (result.waiting) return WAITING;
    await work.quarantine(result.quarantined);
    refused ||= result.quarantined.some(({ place }) => place === session.end?.place);
    for (const place of result.settled) done.push(place);
  }
  await work.settle(done);
  // The session has ended in another way, and if it was committed, they belong to it.
  if (refused) return bringBack(pass, work, session.sessionId, [...adds, ...otherEnds]);
  pass.tally.discarded += adds.length;
  await work.settle(adds);
  return bringBack(pass, work, session.sessionId, otherEnds);
}

/** Replays records into the store and, if that has begun a commit, finishes it. */
async function bringBack(
  pass: RecoveryPass,
  work: SealedWork,
  sessionId: string,
  places: readonly number[],
): Promise<BroughtBack> {
  const late: number[] = [];
  let committing = false;
  let givenUp = false;
  for await (const chunk of work.chunks(places)) {
    if (pass.closing.aborted) return WAITING;
    const result = await replay(pass, chunk);
    await work.quarantine(result.quarantined);
    await work.settle(result.settled);
    if (result.waiting) return WAITING;
    committing ||= result.committing;
    givenUp ||= chunk.records.some(wasBegun);
    for (const place of result.late) late.push(place);
  }
  const hasEnded = !committing || (await finishCommit(pass, sessionId, givenUp));
  return { isBack: true, late: hasEnded ? late : [] };
}

const wasBegun = (record: ContingencyRecord) => record.kind === 'session.commit_requested' && record.begun;

interface Replayed {
  readonly settled: number[];
  readonly quarantined: { place: number; record: ContingencyRecord; reason: string }[];
  /** Events that were acknowledged, but whose session is being committed, or has been, without them. */
  readonly late: number[];
  /** The session is being committed, or has been. */
  committing: boolean;
  /** The session is unknown and may still be started. (A commit that lacks events waits without holding up others.) */
  waiting: boolean;
}

async function replay(pass: RecoveryPass, { places, records }: Chunk): Promise<Replayed> {
  const notReplayed =
    records.length === 0 ? [] : await pass.ask((store) => replayIntoStore(store, records, pass.replay));
  pass.ends.replayed(records, notReplayed);
  const problems = new Map(notReplayed.map(({ record, problem }) => [record, problem]));
  const result: Replayed = {
    settled: [],
    quarantined: [],
    late: [],
    committing: notReplayed.some(({ problem }) => problem === 'session_committing'),
    waiting: false,
  };
  records.forEach((record, i) => {
    const place = places[i] as number;
    const problem = problems.get(record);
    const reason = problem && QUARANTINE_REASONS[problem];
    if (problem === 'session_committing' || problem === 'session_committed') result.late.push(place);
    else if (problem && mayPass(problem, record.at, pass.patienceMs))
      result.waiting ||= problem === 'session_unknown';
    else if (reason !== undefined) result.quarantined.push({ place, record, reason });
    else {
      result.settled.push(place);
      result.committing ||= record.kind === 'session.commit_requested';
      if (problem === 'session_rolled_back') pass.tally.discarded += 1;
      else if (record.kind === 'event.added') pass.tally.events += 1;
    }
  });
  return result;
}

/**
 * Late events come behind the others of their session, so it must have been committed by now. The log may have one of
 * them twice: an append that failed after its bytes were written, and the same add again.
 */
async function publishLate(
  pass: RecoveryPass,
  work: SealedWork,
  sessionId: string,
  places: readonly number[],
): Promise<void> {
  if (places.length === 0 || pass.broker.isDownFor(sessionId)) return;
  const session = await pass.ask((store) => store.get(sessionId));
  if (session?.status === 'committing') return;
  let sequence = session?.events ?? 0;
  const seen = new Set<string>();
  for await (const chunk of work.chunks(places)) {
    if (pass.broker.isDownFor(sessionId) || pass.closing.aborted) return;
    await publishChunk(pass, work, sessionId, chunk, (record) => {
      const eventId = eventIdOf(record.utf8 ?? record.event);
      if (seen.has(eventId)) return undefined;
      seen.add(eventId);
      sequence += 1;
      return sequence;
    });
  }
}

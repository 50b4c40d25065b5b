import { eventIdOf } from '../core/event.js';
import type { SessionStatus } from '../core/lifecycle.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';

/** What of a record decides what recovery does with it: without data, so that a whole log fits in memory. */
export interface RecordOutline {
  readonly kind: ContingencyRecord['kind'];
  readonly at: number;
  readonly eventId: string | undefined;
  /** Of an event that the broker is owed. */
  readonly sequence: number | undefined;
  readonly expectedEvents: number | undefined;
}

/** What the store knows of the session. */
export interface KnownSession {
  readonly status: SessionStatus;
  /** When an `expired` session ran out, as long as nobody has ended it: it still takes what was acknowledged before. */
  readonly overdueSince?: number | undefined;
  readonly events: number;
  readonly cursor: number;
  /** Ids of the outlined events that it already has. */
  readonly has: ReadonlySet<string>;
}

/** What a recovery would do with the records of one session, if the store and the broker took everything. */
export interface SessionPlan {
  /** The session would be started. */
  readonly start: boolean;
  /** Events that would be added. */
  readonly restore: number;
  /** Events that are in the store already. */
  readonly known: number;
  readonly end: 'commit' | 'rollback' | undefined;
  /** Events that would be published: of the commit, late ones, and those the broker is owed. */
  readonly publish: number;
  readonly discard: number;
  /** Records that would stay for now: the log of another host may have what they lack. */
  readonly wait: number;
  readonly quarantine: readonly { readonly reason: string; readonly records: number }[];
}

export function outlineOf(record: ContingencyRecord): RecordOutline {
  return {
    kind: record.kind,
    at: record.at,
    eventId: 'event' in record ? eventIdOf(record.event) : undefined,
    sequence: record.kind === 'event.unpublished' ? record.sequence : undefined,
    expectedEvents: record.kind === 'session.commit_requested' ? record.expectedEvents : undefined,
  };
}

const UNKNOWN = 'neither the store nor the log knows this session';
const EXPIRED = 'the session has expired before this could be brought back';
const ENDED = 'the session has ended in another way';
const MISSING = 'the session does not have the expected number of events';
const EXCEEDED = 'the session has more than the expected number of events';

/**
 * Follows the rules of recovery without doing anything: the first request to end the session counts, unless it is a commit
 * with a condition, which yields to the next; a rollback wins over what is before it unless it comes too late, late events
 * are published behind the others.
 *
 * @param isPatient whether a record is so young that what it lacks may still come
 */
export function planSession(
  records: readonly RecordOutline[],
  store: KnownSession | undefined,
  isPatient: (record: RecordOutline) => boolean,
): SessionPlan {
  const owed = new Set(records.flatMap(({ sequence }) => sequence ?? []));
  const forStore = records.filter(({ kind }) => kind !== 'event.unpublished');
  const ends = forStore.filter(({ kind }) => kind.endsWith('_requested'));
  const end = ends.find(({ expectedEvents }) => expectedEvents === undefined) ?? ends.at(-1);
  const state = rehearsal(store, isPatient);
  if (end?.kind === 'session.rollback_requested') {
    const starts = forStore.filter(({ kind }) => kind === 'session.started');
    const adds = forStore.filter(({ kind }) => kind === 'event.added');
    const otherEnds = ends.filter((one) => one !== end);
    for (const record of [...starts, end]) state.play(record);
    if (state.plan.wait > 0) state.plan.wait += adds.length + otherEnds.length;
    else {
      if (state.refused(end)) for (const record of adds) state.play(record);
      else state.plan.discard += adds.length;
      for (const record of otherEnds) state.play(record);
    }
  } else {
    for (const record of forStore) state.play(record);
  }
  return state.result(owed.size);
}

/** The session as it would become, record by record. */
function rehearsal(store: KnownSession | undefined, isPatient: (record: RecordOutline) => boolean) {
  const plan = { start: false, restore: 0, known: 0, discard: 0, wait: 0 };
  const quarantine = new Map<string, number>();
  const refusals = new Set<RecordOutline>();
  const has = new Set(store?.has);
  const late = new Set<string>();
  let status = store?.status;
  const overdueSince = store?.overdueSince;
  let events = store?.events ?? 0;
  let ended: SessionPlan['end'];

  const refuse = (record: RecordOutline, reason: string) => {
    if ((reason === UNKNOWN || reason === MISSING) && isPatient(record)) {
      plan.wait += 1;
      return;
    }
    refusals.add(record);
    quarantine.set(reason, (quarantine.get(reason) ?? 0) + 1);
  };

  function add(record: RecordOutline): void {
    const { eventId = '' } = record;
    if (status === undefined) refuse(record, UNKNOWN);
    else if (has.has(eventId)) plan.known += 1;
    else if (status === 'open') {
      has.add(eventId);
      events += 1;
      plan.restore += 1;
    } else if (status === 'rolled_back') plan.discard += 1;
    else if (status === 'expired') refuse(record, EXPIRED);
    else late.add(eventId);
  }

  function commit(record: RecordOutline): void {
    const { expectedEvents } = record;
    if (status === undefined) refuse(record, UNKNOWN);
    else if (status === 'expired') refuse(record, EXPIRED);
    else if (status === 'rolled_back') refuse(record, ENDED);
    else if (status === 'open' && expectedEvents !== undefined && expectedEvents !== events)
      refuse(record, events > expectedEvents ? EXCEEDED : MISSING);
    else if (status !== 'committed') {
      status = 'committing';
      ended = 'commit';
    }
  }

  function rollback(record: RecordOutline): void {
    if (status === undefined) refuse(record, UNKNOWN);
    else if (status === 'open') {
      status = 'rolled_back';
      ended = 'rollback';
    } else if (status === 'expired') refuse(record, EXPIRED);
    else if (status !== 'rolled_back') refuse(record, ENDED);
  }

  /** Whether this is taken though the session has run out: a rollback always, anything else as of when it came. */
  const isInTime = ({ kind, at }: RecordOutline) =>
    overdueSince !== undefined && (kind === 'session.rollback_requested' || at < overdueSince);

  return {
    plan,
    refused: (record: RecordOutline) => refusals.has(record),
    play(record: RecordOutline): void {
      if (status === 'expired' && isInTime(record)) status = 'open';
      if (record.kind === 'session.started') {
        plan.start ||= status === undefined;
        status ??= 'open';
      } else if (record.kind === 'event.added') add(record);
      else if (record.kind === 'session.commit_requested') commit(record);
      else if (record.kind === 'session.rollback_requested') rollback(record);
    },
    result(owed: number): SessionPlan {
      if (late.size > 0 && status === 'committing') ended = 'commit';
      const committed = ended === 'commit' ? events - (store?.cursor ?? 0) : 0;
      return {
        ...plan,
        end: ended,
        publish: owed + committed + late.size,
        quarantine: [...quarantine].map(([reason, count]) => ({ reason, records: count })),
      };
    },
  };
}

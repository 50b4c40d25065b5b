import { isEnd } from '../contingency/held-records.js';
import { endThatCounts, mayPass, QUARANTINE_REASONS } from '../contingency/recovery-rules.js';
import type { ReplayProblem } from '../contingency/replay.js';
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
  /** Of a `committing` one: nobody is at work on it. */
  readonly isInterrupted?: boolean | undefined;
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

/**
 * Does what recovery would do to a likeness of the session: a rollback wins over what is before it unless it comes too
 * late, late events are published behind the others.
 */
export function planSession(
  records: readonly RecordOutline[],
  store: KnownSession | undefined,
  patienceMs: number,
): SessionPlan {
  const owed = new Set(records.flatMap(({ sequence }) => sequence ?? []));
  const forStore = records.filter(({ kind }) => kind !== 'event.unpublished');
  const ends = forStore.filter(isEnd);
  const end = ends.reduce<RecordOutline | undefined>(endThatCounts, undefined);
  const state = rehearsal(store, patienceMs);
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
function rehearsal(store: KnownSession | undefined, patienceMs: number) {
  const plan = { start: false, restore: 0, known: 0, discard: 0, wait: 0 };
  const quarantine = new Map<string, number>();
  const refusals = new Set<RecordOutline>();
  const has = new Set(store?.has);
  const late = new Set<string>();
  let status = store?.status;
  const overdueSince = store?.overdueSince;
  let events = store?.events ?? 0;
  let ended: SessionPlan['end'];

  const refuse = (record: RecordOutline, problem: ReplayProblem) => {
    if (mayPass(problem, record.at, patienceMs)) {
      plan.wait += 1;
      return;
    }
    refusals.add(record);
    const reason = QUARANTINE_REASONS[problem] ?? problem;
    quarantine.set(reason, (quarantine.get(reason) ?? 0) + 1);
  };

  function start(): void {
    plan.start ||= status === undefined;
    status ??= 'open';
  }

  function add(record: RecordOutline, found: SessionStatus | undefined): void {
    const { eventId = '' } = record;
    // Also by an event that it has already, an add renews the session.
    if (found === 'open') status = found;
    if (found === undefined) refuse(record, 'session_unknown');
    else if (has.has(eventId)) plan.known += 1;
    else if (found === 'open') {
      has.add(eventId);
      events += 1;
      plan.restore += 1;
    } else if (found === 'rolled_back') plan.discard += 1;
    else if (found === 'expired') refuse(record, 'session_expired');
    else late.add(eventId);
  }

  function commit(record: RecordOutline, found: SessionStatus | undefined): void {
    const { expectedEvents } = record;
    if (found === undefined) refuse(record, 'session_unknown');
    else if (found === 'expired') refuse(record, 'session_expired');
    else if (found === 'rolled_back') refuse(record, 'already_ended');
    else if (found === 'open' && expectedEvents !== undefined && expectedEvents !== events)
      refuse(record, events > expectedEvents ? 'events_exceeded' : 'events_missing');
    else if (found !== 'committed') {
      status = 'committing';
      ended = 'commit';
    }
  }

  function rollback(record: RecordOutline, found: SessionStatus | undefined): void {
    if (found === undefined) refuse(record, 'session_unknown');
    else if (found === 'open') {
      status = 'rolled_back';
      ended = 'rollback';
    } else if (found === 'expired') refuse(record, 'session_expired');
    else if (found !== 'rolled_back') refuse(record, 'already_ended');
  }

  /** The status by which the store judges: a rollback is never too late, anything else is judged as of when it came. */
  function statusFor({ kind, at }: RecordOutline): SessionStatus | undefined {
    const isOverdue = status === 'expired' && overdueSince !== undefined;
    return isOverdue && (kind === 'session.rollback_requested' || at < overdueSince) ? 'open' : status;
  }

  return {
    plan,
    refused: (record: RecordOutline) => refusals.has(record),
    play(record: RecordOutline): void {
      const found = statusFor(record);
      if (record.kind === 'session.started') start();
      else if (record.kind === 'event.added') add(record, found);
      else if (record.kind === 'session.commit_requested') commit(record, found);
      else if (record.kind === 'session.rollback_requested') rollback(record, found);
    },
    result(owed: number): SessionPlan {
      if (status === 'committing' && (late.size > 0 || store?.isInterrupted)) ended = 'commit';
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

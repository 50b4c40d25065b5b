import { eventIdOf } from '../core/event.js';
import type { SessionStatus } from '../core/lifecycle.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';

/** What of a record decides what recovery does with it: without data, so that a whole log fits in memory. */
export interface RecordOutline {
  readonly kind: ContingencyRecord['kind'];
  readonly eventId: string | undefined;
  readonly expectedEvents: number | undefined;
}

/** What the store knows of the session. */
export interface KnownSession {
  readonly status: SessionStatus;
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
  readonly quarantine: readonly { readonly reason: string; readonly records: number }[];
}

export function outlineOf(record: ContingencyRecord): RecordOutline {
  return {
    kind: record.kind,
    eventId: 'event' in record ? eventIdOf(record.event) : undefined,
    expectedEvents: record.kind === 'session.commit_requested' ? record.expectedEvents : undefined,
  };
}

/** Follows the rules of recovery without doing anything: a rollback wins over the adds before it; late events are published behind the others. */
export function planSession(records: readonly RecordOutline[], store: KnownSession | undefined): SessionPlan {
  const end = records.find(({ kind }) => kind.endsWith('_requested'));
  const isRollback = end?.kind === 'session.rollback_requested';
  const plan = { start: false, restore: 0, known: 0, publish: 0, discard: 0 };
  const quarantine = new Map<string, number>();
  const has = new Set(store?.has);
  let status = store?.status;
  let events = store?.events ?? 0;
  let late = 0;
  let ended: SessionPlan['end'];
  const refuse = (reason: string) => quarantine.set(reason, (quarantine.get(reason) ?? 0) + 1);

  for (const { kind, eventId = '', expectedEvents } of records) {
    switch (kind) {
      case 'session.started':
        plan.start ||= status === undefined;
        status ??= 'open';
        break;
      case 'event.added':
        if (isRollback) plan.discard += 1;
        else if (status === undefined) refuse(UNKNOWN);
        else if (has.has(eventId)) plan.known += 1;
        else if (status === 'open') {
          has.add(eventId);
          events += 1;
          plan.restore += 1;
        } else if (status === 'rolled_back' || status === 'expired') plan.discard += 1;
        else late += 1;
        break;
      case 'session.commit_requested':
        if (status === undefined) refuse(UNKNOWN);
        else if (status === 'rolled_back' || status === 'expired') refuse(ENDED);
        else if (status === 'open' && expectedEvents !== undefined && expectedEvents !== events)
          refuse(MISMATCH);
        else if (status !== 'committed') {
          status = 'committing';
          ended = 'commit';
        }
        break;
      case 'session.rollback_requested':
        if (status === undefined) refuse(UNKNOWN);
        else if (status === 'open') {
          status = 'rolled_back';
          ended = 'rollback';
        } else if (status !== 'rolled_back') refuse(ENDED);
        break;
      case 'event.unpublished':
        plan.publish += 1;
        break;
    }
  }
  if (late > 0 && status === 'committing') ended = 'commit';
  if (ended === 'commit') plan.publish += events - (store?.cursor ?? 0);
  plan.publish += late;
  return {
    ...plan,
    end: ended,
    quarantine: [...quarantine].map(([reason, count]) => ({ reason, records: count })),
  };
}

const UNKNOWN = 'neither the store nor the log knows this session';
const ENDED = 'the session has ended in another way';
const MISMATCH = 'the session does not have the expected number of events';

import { eventIdOf } from '../core/event.js';
import type { ContingencyRecord, EventAddedRecord } from '../ports/contingency-log.js';
import type { NotOpen, SessionLimits, SessionStore } from '../ports/session-store.js';

/**
 * Why a record could not be brought into the store:
 *
 * - `session_unknown`: neither the store nor the log knows the session;
 * - `session_committing`, `session_committed`: the session has gone on without it; an event is late;
 * - `session_rolled_back`: so the event must not be published;
 * - `session_expired`: it ran out before this was acknowledged, or was ended as expired before it could be brought
 *   back;
 * - `events_missing`, `events_exceeded`: the commit was asked for with an `expectedEvents` that is not met;
 * - `already_ended`: the request came second, the session has ended in another way;
 * - `session_corrupt`: the store no longer has all events of the session, so its commit is refused.
 */
export type ReplayProblem =
  | 'session_unknown'
  | 'session_committing'
  | 'session_committed'
  | 'session_rolled_back'
  | 'session_expired'
  | 'events_missing'
  | 'events_exceeded'
  | 'already_ended'
  | 'session_corrupt';

export interface NotReplayed {
  readonly record: ContingencyRecord;
  readonly problem: ReplayProblem;
}

export interface ReplayContext {
  readonly instance: string;
  readonly retentionMs: number;
}

/** What was acknowledged is not turned away: a session may grow past its limits by what an outage held back. */
const NO_LIMITS: SessionLimits = {
  maxSessionEvents: Number.MAX_SAFE_INTEGER,
  maxSessionBytes: Number.MAX_SAFE_INTEGER,
};

/**
 * Brings records of one session into the store, in order, and returns those that it could not bring in. Safe to repeat.
 * `event.unpublished` is not for the store and is skipped.
 *
 * The store judges each as of its acknowledgement, so that a session whose time to live ran out during an outage takes
 * what was acknowledged before. A rollback is granted however late it came: it takes nothing from anybody, and its
 * caller was told that it is done.
 *
 * A requested commit is only begun here (so that nothing can be added any more), and its lease given back at once:
 * publishing is left to the next commit or to recovery.
 */
export async function replayIntoStore(
  store: SessionStore,
  records: readonly ContingencyRecord[],
  { instance, retentionMs }: ReplayContext,
): Promise<NotReplayed[]> {
  const problems: NotReplayed[] = [];
  const cause = (reason: string) => ({ instance, reason });

  for (let i = 0; i < records.length; i += 1) {
    const record = records[i] as ContingencyRecord;
    const { sessionId } = record;
    switch (record.kind) {
      case 'session.started':
        await store.start({
          sessionId,
          metadata: record.metadata,
          ttlMs: record.ttlMs,
          cause: cause('recovered'),
        });
        break;
      case 'event.added': {
        const run = consecutiveEvents(records, i);
        i += run.length - 1;
        problems.push(...(await replayEvents(store, sessionId, run)));
        break;
      }
      case 'session.commit_requested': {
        const begun = await store.beginCommit(sessionId, {
          attemptId: record.attemptId,
          leaseMs: 1_000,
          expectedEvents: record.expectedEvents,
          asOf: record.at,
          cause: cause('commit recovered'),
        });
        if (begun.outcome === 'granted') await store.releaseCommit(sessionId, begun.epoch);
        else if (begun.outcome === 'mismatch') {
          const isOver = begun.events > (record.expectedEvents ?? 0);
          problems.push({ record, problem: isOver ? 'events_exceeded' : 'events_missing' });
        } else if (begun.outcome === 'corrupt') problems.push({ record, problem: 'session_corrupt' });
        else if (begun.outcome === 'not_found') problems.push({ record, problem: 'session_unknown' });
        else if (begun.outcome === 'not_open') problems.push({ record, problem: endedAs(begun.status) });
        break;
      }
      case 'session.rollback_requested': {
        const ended = await store.rollback(sessionId, {
          retentionMs,
          asOf: 0,
          cause: cause(record.reason ?? 'rollback recovered'),
        });
        if (ended.outcome === 'not_found') problems.push({ record, problem: 'session_unknown' });
        else if (ended.outcome === 'not_open') problems.push({ record, problem: endedAs(ended.status) });
        break;
      }
      case 'event.unpublished':
        break;
    }
  }
  return problems;
}

function consecutiveEvents(records: readonly ContingencyRecord[], from: number): EventAddedRecord[] {
  const run: EventAddedRecord[] = [];
  for (let i = from; i < records.length; i += 1) {
    const record = records[i];
    if (record?.kind !== 'event.added') break;
    run.push(record);
  }
  return run;
}

async function replayEvents(
  store: SessionStore,
  sessionId: string,
  records: readonly EventAddedRecord[],
): Promise<NotReplayed[]> {
  const events = records.map(({ event, topic }) => ({ id: eventIdOf(event), topic, json: event }));
  const result = await store.append(sessionId, events, NO_LIMITS, Math.min(...records.map(({ at }) => at)));
  switch (result.outcome) {
    case 'appended':
      return [];
    case 'not_found':
      return records.map((record) => ({ record, problem: 'session_unknown' }));
    default: {
      // An earlier replay, or the call whose reply was lost, may have brought some of them in before the end.
      const known = await store.contains(
        sessionId,
        events.map(({ id }) => id),
      );
      const problem = result.outcome === 'not_open' ? problemOf(result.status) : 'session_unknown';
      return records.filter((_, i) => known[i] !== true).map((record) => ({ record, problem }));
    }
  }
}

function problemOf(status: NotOpen['status']): ReplayProblem {
  return `session_${status}`;
}

function endedAs(status: NotOpen['status']): ReplayProblem {
  return status === 'expired' ? 'session_expired' : 'already_ended';
}

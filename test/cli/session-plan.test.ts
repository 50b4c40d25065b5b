import { describe, expect, test } from 'vitest';
import { type KnownSession, planSession, type RecordOutline } from '../../src/cli/session-plan.js';
import { QUARANTINE_REASONS as REASONS } from '../../src/contingency/recovery-rules.js';

const PATIENCE_MS = 3_600_000;
/** Of records that wait no longer, and of one that does. */
const OLD = 1;
const YOUNG = Date.now();

const outline = (kind: RecordOutline['kind'], more: Partial<RecordOutline> = {}): RecordOutline => {
  return { kind, at: OLD, eventId: undefined, sequence: undefined, expectedEvents: undefined, ...more };
};
const start = outline('session.started');
const add = (eventId: string) => outline('event.added', { eventId });
const commit = (expectedEvents?: number) => outline('session.commit_requested', { expectedEvents });
const rollback = outline('session.rollback_requested');
const owed = (sequence: number) => outline('event.unpublished', { eventId: `owed-${sequence}`, sequence });
const known = (status: KnownSession['status'], more: Partial<KnownSession> = {}): KnownSession => {
  return { status, events: 0, cursor: 0, has: new Set(), ...more };
};

describe('what a recovery would do with one session', () => {
  test.each<[string, RecordOutline[], KnownSession | undefined, object]>([
    [
      'all of it in the log',
      [start, add('a'), add('b'), commit()],
      undefined,
      { start: true, restore: 2, end: 'commit', publish: 2 },
    ],
    [
      'an open one',
      [add('a'), add('b')],
      known('open', { events: 5 }),
      { restore: 2, publish: 0, end: undefined },
    ],
    [
      'an event that arrived after all',
      [add('a'), add('b')],
      known('open', { events: 1, has: new Set(['a']) }),
      { restore: 1, known: 1 },
    ],
    [
      'a commit of more than the log has',
      [add('a'), commit()],
      known('open', { events: 4 }),
      { end: 'commit', publish: 5 },
    ],
    [
      'a commit that had begun',
      [commit()],
      known('committing', { events: 9, cursor: 4 }),
      { end: 'commit', publish: 5 },
    ],
    [
      'a commit that is done',
      [commit()],
      known('committed', { events: 9, cursor: 9 }),
      { end: undefined, publish: 0 },
    ],
    [
      'late events',
      [add('a'), add('b')],
      known('committed', { events: 3, cursor: 3, has: new Set(['b']) }),
      { known: 1, publish: 1, end: undefined },
    ],
    [
      'late events of a commit under way',
      [add('a')],
      known('committing', { events: 3, cursor: 1 }),
      { end: 'commit', publish: 3 },
    ],
    [
      'a rollback after adds',
      [start, add('a'), rollback],
      undefined,
      { start: true, end: 'rollback', restore: 0, discard: 1 },
    ],
    [
      'a rollback of an open one',
      [add('a'), rollback],
      known('open', { events: 2 }),
      { end: 'rollback', discard: 1 },
    ],
    ['events of a rolled back one', [add('a')], known('rolled_back'), { discard: 1, publish: 0 }],
    [
      'what came in time to one that has run out, but was not ended',
      [{ ...add('a'), at: 4 }, { ...add('b'), at: 6 }, commit()],
      known('expired', { overdueSince: 5, events: 3 }),
      { restore: 2, end: 'commit', publish: 5, quarantine: [] },
    ],
    [
      'what came too late to such a one',
      [{ ...add('a'), at: 5 }],
      known('expired', { overdueSince: 5 }),
      {
        restore: 0,
        quarantine: [{ reason: REASONS.session_expired, records: 1 }],
      },
    ],
    [
      'a rollback of such a one, however late',
      [
        { ...add('a'), at: 5 },
        { ...rollback, at: 6 },
      ],
      known('expired', { overdueSince: 5 }),
      { end: 'rollback', discard: 1, quarantine: [] },
    ],
    [
      'events of an expired one',
      [add('a')],
      known('expired'),
      {
        discard: 0,
        quarantine: [{ reason: REASONS.session_expired, records: 1 }],
      },
    ],
    [
      'the same late event twice',
      [add('a'), add('a')],
      known('committed', { events: 3, cursor: 3 }),
      { publish: 1, restore: 0 },
    ],
    [
      'a rollback that comes too late: the adds belong to the commit',
      [add('a'), rollback],
      known('committed', { events: 3, cursor: 3 }),
      {
        publish: 1,
        discard: 0,
        quarantine: [{ reason: REASONS.already_ended, records: 1 }],
      },
    ],
    [
      'a young session nobody knows: it waits for the log of another host',
      [add('a'), commit()].map((record) => ({ ...record, at: YOUNG })),
      undefined,
      { wait: 2, quarantine: [], publish: 0, end: undefined },
    ],
    [
      'a young rollback of a session nobody knows',
      [add('a'), { ...rollback, at: YOUNG }],
      undefined,
      { wait: 2, quarantine: [], discard: 0 },
    ],
    [
      'a young commit that lacks events',
      [add('a'), { ...commit(3), at: YOUNG }],
      known('open'),
      { wait: 1, restore: 1, end: undefined, publish: 0, quarantine: [] },
    ],
    [
      'a commit behind a young one that lacks events',
      [{ ...commit(3), at: YOUNG }, add('a'), commit()],
      known('open', { events: 1 }),
      { wait: 1, restore: 1, end: 'commit', publish: 2, quarantine: [] },
    ],
    [
      'a rollback behind a commit with a condition, though it is met by now',
      [add('a'), commit(3), rollback],
      known('open', { events: 2 }),
      {
        end: 'rollback',
        discard: 1,
        publish: 0,
        quarantine: [{ reason: REASONS.already_ended, records: 1 }],
      },
    ],
    [
      'a rollback behind a commit without one',
      [add('a'), commit(), rollback],
      known('open', { events: 2 }),
      {
        end: 'commit',
        discard: 0,
        publish: 3,
        quarantine: [{ reason: REASONS.already_ended, records: 1 }],
      },
    ],
    [
      'a young rollback of a session nobody knows, and what else there is of it',
      [add('a'), commit(1), { ...rollback, at: YOUNG }],
      undefined,
      { wait: 3, quarantine: [], discard: 0 },
    ],
    [
      'owed events of a commit that was interrupted, whose rest comes behind them',
      [owed(1), owed(2)],
      known('committing', { events: 5, cursor: 2, isInterrupted: true }),
      { end: 'commit', publish: 5 },
    ],
    [
      'owed events of a commit that somebody is at work on',
      [owed(1), owed(2)],
      known('committing', { events: 5, cursor: 2 }),
      { end: undefined, publish: 2 },
    ],
    ['owed events', [owed(1), owed(2), owed(2)], known('committed'), { publish: 2, restore: 0 }],
    [
      'a session nobody knows',
      [add('a'), commit()],
      undefined,
      { quarantine: [{ reason: REASONS.session_unknown, records: 2 }], end: undefined, publish: 0 },
    ],
    [
      'a commit after a rollback elsewhere',
      [commit()],
      known('rolled_back'),
      { quarantine: [{ reason: REASONS.already_ended, records: 1 }] },
    ],
    [
      'a rollback after a commit elsewhere',
      [rollback],
      known('committed'),
      { quarantine: [{ reason: REASONS.already_ended, records: 1 }] },
    ],
    [
      'too few events',
      [add('a'), commit(3)],
      known('open'),
      {
        restore: 1,
        end: undefined,
        publish: 0,
        quarantine: [{ reason: REASONS.events_missing, records: 1 }],
      },
    ],
    [
      'enough events',
      [add('a'), commit(3)],
      known('open', { events: 2 }),
      { end: 'commit', publish: 3, quarantine: [] },
    ],
  ])('%s', (_, records, store, expected) => {
    expect(planSession(records, store, PATIENCE_MS)).toMatchObject(expected);
  });
});

import type { Violation } from './checker.js';
import { copiesBeyondFirst } from './interruptions.js';
import { explainedReason } from './quarantine.js';
import { isOvertaken } from './rules/order.js';
import { certaintyOf, type SessionStory, type Stories } from './stories.js';

/** What a campaign did and found, in numbers. */
export interface Totals {
  readonly operations: {
    readonly all: number;
    readonly acknowledged: number;
    readonly refused: number;
    readonly unknown: number;
  };
  readonly sessions: {
    readonly all: number;
    readonly committed: number;
    readonly rolledBack: number;
    readonly expired: number;
  };
  /**
   * `acknowledged`: by an add. `late`: published by recovery behind the end of a committed session. `overtaken`: in
   * how many sessions events waited in the log of one host while another one went on.
   */
  readonly events: {
    readonly acknowledged: number;
    readonly deferred: number;
    readonly consumed: number;
    readonly late: number;
    readonly overtaken: number;
  };
  readonly messages: number;
  readonly duplicates: number;
  readonly quarantined: number;
  readonly attempts: { readonly commits: number; readonly takenOver: number };
  readonly publishCalls: { readonly all: number; readonly unknown: number; readonly notDone: number };
  readonly faults: Readonly<Record<string, number>>;
  readonly deaths: number;
  readonly lost: number;
  readonly violations: number;
}

export function countTotals(stories: Stories, violations: readonly Violation[]): Totals {
  const sessions = [...stories.sessions.values()];
  const events = sessions.flatMap((session) => session.events);
  const calls = sessions.flatMap((session) => session.calls);
  const { operations, observations, processes } = stories;
  const certain = (certainty: string) => operations.filter((op) => certaintyOf(op) === certainty).length;
  const ended = (status: string) => sessions.filter(({ final }) => final?.status === status).length;
  const faults: Record<string, number> = {};
  for (const { fault } of stories.faults) faults[fault] = (faults[fault] ?? 0) + 1;
  return {
    operations: {
      all: operations.length,
      acknowledged: certain('acknowledged'),
      refused: certain('refused'),
      unknown: certain('possible'),
    },
    sessions: {
      all: sessions.length,
      committed: ended('committed'),
      rolledBack: ended('rolled_back'),
      expired: ended('expired'),
    },
    events: {
      acknowledged: events.filter(({ adds }) => adds.some((add) => add.receipt !== undefined)).length,
      deferred: events.filter(({ recorded }) => recorded.added > 0).length,
      consumed: events.filter(({ messages }) => messages.length > 0).length,
      late: sum(sessions.map(lateEvents)),
      overtaken: sessions.filter((session) => isOvertaken(stories, session)).length,
    },
    messages: observations.messages.length,
    duplicates: sum(sessions.map(copiesBeyondFirst)),
    quarantined: observations.quarantine.filter((entry) => explainedReason(stories, entry) !== undefined)
      .length,
    attempts: {
      commits: sum(sessions.map(({ attempts }) => attempts.length)),
      takenOver: sum(
        sessions.map(({ attempts }) => Math.max(0, attempts.filter(({ worked }) => worked).length - 1)),
      ),
    },
    publishCalls: {
      all: calls.length,
      unknown: calls.filter(({ outcome }) => outcome === 'unknown' || outcome === 'lost').length,
      notDone: calls.filter(({ outcome }) => outcome === 'not_done').length,
    },
    faults,
    deaths: [...processes.values()].filter(({ died }) => died).length,
    lost: violations.filter(({ rule }) => LOSSES.includes(rule)).length,
    violations: violations.length,
  };
}

const LOSSES: readonly Violation['rule'][] = [
  'event lost',
  'event not in store',
  'session lost',
  'lost by the broker',
];

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

function lateEvents({ events, final }: SessionStory): number {
  if (final?.status !== 'committed') return 0;
  const stored = new Set(final.eventIds);
  return events.filter(({ id, messages }) => messages.length > 0 && !stored.has(id ?? '')).length;
}

import type { Rule, Violation } from '../checker.js';
import { expectedEventsOf, explainedReason } from '../quarantine.js';
import { certaintyOf, isCommitted, isRolledBack, type SessionStory, type Stories } from '../stories.js';

/** G5: one outcome, and receipts that tell it as it is. */
export const outcomes: Rule = (stories) =>
  [...stories.sessions.values()].flatMap((session) => [
    ...unfinished(session),
    ...twoOutcomes(session),
    ...receipts(session),
    ...expectations(session),
    ...notCarriedOut(stories, session),
  ]);

const broken = (rule: Violation['rule'], { sessionId }: SessionStory, message: string): Violation => ({
  guarantee: 'G5',
  rule,
  sessionId,
  message,
});

function unfinished(session: SessionStory): Violation[] {
  const status = session.final?.status;
  return status === 'open' || status === 'committing'
    ? [broken('session unfinished', session, `it is still ${status} at the end`)]
    : [];
}

function twoOutcomes(session: SessionStory): Violation[] {
  const { commits, rollbacks, final } = session;
  const committed = commits.some(isCommitted);
  const rolledBack = rollbacks.some(isRolledBack);
  const told = `the caller was told committed: ${committed}, rolled back: ${rolledBack}; it is ${final?.status}`;
  if (committed && rolledBack) return [broken('two outcomes', session, told)];
  if (final === undefined) return [];
  if (committed && final.status !== 'committed') return [broken('two outcomes', session, told)];
  if (rolledBack && final.status !== 'rolled_back') return [broken('two outcomes', session, told)];
  return [];
}

function receipts(session: SessionStory): Violation[] {
  const given = session.commits.filter(isCommitted).map(({ receipt }) => receipt);
  const [first] = given;
  if (first === undefined) return [];
  const violations: Violation[] = [];
  const other = given.find(
    (receipt) =>
      receipt.events !== first.events ||
      receipt.published !== first.published ||
      receipt.deferred !== first.deferred,
  );
  const text = (receipt: typeof first) =>
    `${receipt.events} events, ${receipt.published} published, ${receipt.deferred} deferred`;
  if (other !== undefined) {
    violations.push(broken('receipts differ', session, `${text(first)}; and then ${text(other)}`));
  }
  const stored = session.final?.eventIds.length ?? first.events;
  if (given.some((receipt) => receipt.events !== receipt.published + receipt.deferred)) {
    violations.push(broken('dishonest receipt', session, text(first)));
  } else if (first.events !== stored) {
    violations.push(broken('dishonest receipt', session, `${text(first)}; the store has ${stored}`));
  } else if (first.published > acknowledged(session)) {
    const message = `${text(first)}; nsqd acknowledged ${acknowledged(session)}`;
    violations.push(broken('dishonest receipt', session, message));
  }
  return violations;
}

/** Events of the session that a call of the publisher in some attempt was acknowledged for. */
function acknowledged({ calls }: SessionStory): number {
  const done = calls.filter(({ outcome }) => outcome === 'published');
  return new Set(done.flatMap(({ events }) => events.map(([, id]) => id))).size;
}

/** Where everybody who asked for the commit expected a number, it is one of those. */
function expectations(session: SessionStory): Violation[] {
  const { final, commits } = session;
  if (final?.status !== 'committed') return [];
  const expected = commits.filter((commit) => certaintyOf(commit) !== 'refused').map(expectedEventsOf);
  if (expected.length === 0 || expected.includes(undefined)) return [];
  if (expected.includes(final.eventIds.length)) return [];
  const message = `committed with ${final.eventIds.length} events; expected were ${expected.join(' or ')}`;
  return [broken('expected events ignored', session, message)];
}

/**
 * An end that was acknowledged before the store had it is carried out, unless another one came first and the
 * quarantine says so. An attempt that has begun is.
 */
function notCarriedOut(stories: Stories, session: SessionStory): Violation[] {
  const { final, commits, rollbacks, quarantine, attempts } = session;
  if (final === undefined) return [];
  const status = final.statusAfterRecovery ?? final.status;
  const lost = (kind: string) =>
    quarantine.some((entry) => entry.record?.kind === kind && explainedReason(stories, entry) !== undefined);
  const requested = commits.some((end) => end.receipt !== undefined && !isCommitted(end));
  const discarded = rollbacks.some((end) => end.receipt !== undefined && !isRolledBack(end));
  const violations: Violation[] = [];
  if (attempts.length > 0 && final.status !== 'committed' && final.status !== 'committing') {
    violations.push(broken('end not carried out', session, `a commit had begun, and it is ${final.status}`));
  } else if (requested && status !== 'committed' && !lost('session.commit_requested')) {
    violations.push(broken('end not carried out', session, `a commit was acknowledged, and it is ${status}`));
  }
  if (discarded && status !== 'rolled_back' && !lost('session.rollback_requested')) {
    violations.push(
      broken('end not carried out', session, `a rollback was acknowledged, and it is ${status}`),
    );
  }
  return violations;
}

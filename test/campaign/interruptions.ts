import type { CheckerSettings } from './checker.js';
import type { PublishCall, SessionStory, Stories } from './stories.js';

/** How many events of a session may come again, and what for. */
export interface DuplicateBound {
  readonly events: number;
  readonly why: readonly string[];
}

export function copiesBeyondFirst({ events }: SessionStory): number {
  return events.reduce((sum, { messages }) => sum + Math.max(0, messages.length - 1), 0);
}

/**
 * `window` for each interruption of the session:
 *
 * - an attempt that had published or deferred something, and was taken over or begun again;
 * - calls of one process that were in flight together, and whose outcome nobody could know;
 * - recovery that published what is owed, and died or failed before that was noted down. What recovery publishes in
 *   one call counts as its window, and it does one session after another: only the last one before the end counts.
 *
 * An event that several instances wrote down, each for itself, and that came too late for the commit, is published
 * once from each log: the store has no place where they could learn of each other.
 */
export function duplicateBound(
  { processes }: Stories,
  session: SessionStory,
  { window, recoveryBatch }: CheckerSettings,
): DuplicateBound {
  const why: string[] = [];
  let events = 0;
  const allow = (count: number, reason: string) => {
    events += count;
    why.push(`${count} for ${reason}`);
  };
  const callWindow = (calls: readonly PublishCall[]) => {
    const owed = calls.filter(isOwed).reduce((sum, call) => sum + call.events.length, 0);
    return Math.max(window, Math.min(owed, recoveryBatch));
  };

  const worked = session.attempts.filter((attempt) => attempt.worked).length;
  for (let i = 1; i < worked; i += 1) allow(window, 'an attempt that was taken over');
  for (const calls of inFlightTogether(session.calls.filter(isUnknown))) {
    allow(callWindow(calls), `${calls.length} calls of ${calls[0]?.process} with an unknown outcome`);
  }
  for (const { process, interruptedRecoveries } of processes.values()) {
    for (const call of interruptedRecoveries) {
      const counts = call.sessionId === session.sessionId && call.outcome === 'published';
      if (counts) allow(callWindow([call]), `a recovery of ${process} that did not get to its end`);
    }
  }
  const late = session.events
    .filter(({ id }) => id !== undefined && session.final?.eventIds.includes(id) === false)
    .reduce((sum, { recorded }) => sum + Math.max(0, recorded.added - 1), 0);
  if (late > 0) allow(late, 'late events in more than one log');
  return { events, why };
}

/** Published by recovery, outside of any commit. */
const isOwed = ({ attempt }: PublishCall) => attempt === undefined;

const isUnknown = ({ outcome }: PublishCall) => outcome === 'unknown' || outcome === 'lost';

/** Groups of calls of one process that overlap: what one interruption hits. */
function inFlightTogether(calls: readonly PublishCall[]): PublishCall[][] {
  const groups: { calls: PublishCall[]; process: string; until: number }[] = [];
  for (const call of [...calls].sort((a, b) => a.invoked.n - b.invoked.n)) {
    const until = call.settled?.n ?? Number.POSITIVE_INFINITY;
    const group = groups.findLast(
      (candidate) => candidate.process === call.process && call.invoked.n < candidate.until,
    );
    if (group === undefined) {
      groups.push({ calls: [call], process: call.process, until });
    } else {
      group.calls.push(call);
      group.until = Math.max(group.until, until);
    }
  }
  return groups.map((group) => group.calls);
}

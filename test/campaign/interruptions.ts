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
 * - calls of one process that were in flight together, and whose outcome nobody could know. Where recovery publishes
 *   what is owed, that is one call, of `recoveryBatch` events at most;
 * - recovery that published what is owed, and did not get as far as marking it in the log. Of its last `recoveryBatch`
 *   records, and of the call before them, it may have marked none; on a disk that is full to the end of the pass, none at all.
 *
 * An event that several instances wrote down, each for itself, and that came too late for the commit, is published
 * once from each log: the store has no place where they could learn of each other. And an append that is under way
 * while another process renames the file is written again, to be sure; recovery may come by both.
 */
export function duplicateBound(
  { processes, faults }: Stories,
  session: SessionStory,
  { window, recoveryBatch }: CheckerSettings,
): DuplicateBound {
  const why: string[] = [];
  let events = 0;
  const allow = (count: number, reason: string) => {
    events += count;
    why.push(`${count} for ${reason}`);
  };
  /** Published by recovery: outside of any commit, or beside one, and more at once than a commit would. */
  const isOwed = ({ attempt, events }: PublishCall) => attempt === undefined || events.length > window;
  const callWindow = (calls: readonly PublishCall[]) => {
    return Math.max(window, Math.min(eventsIn(calls.filter(isOwed)), recoveryBatch));
  };

  const worked = session.attempts.filter((attempt) => attempt.worked).length;
  for (let i = 1; i < worked; i += 1) allow(window, 'an attempt that was taken over');
  for (const calls of inFlightTogether(session.calls.filter(isUnknown))) {
    allow(callWindow(calls), `${calls.length} calls of ${calls[0]?.process} with an unknown outcome`);
  }
  for (const { process, log, interruptedRecoveries } of processes.values()) {
    for (const { calls, until } of interruptedRecoveries) {
      const isFull = faults.some(
        (fault) =>
          fault.target === log &&
          fault.fault.startsWith('disk') &&
          fault.from <= until &&
          until <= fault.until,
      );
      const batch = isFull ? Number.POSITIVE_INFINITY : recoveryBatch;
      const again = unmarked(calls, batch).filter(({ sessionId }) => sessionId === session.sessionId);
      if (again.length > 0) allow(eventsIn(again), `a recovery of ${process} that did not get to its end`);
    }
  }
  const late = session.events
    .filter(({ id }) => id !== undefined && session.final?.eventIds.includes(id) === false)
    .reduce((sum, { recorded }) => sum + Math.max(0, recorded.added - 1), 0);
  if (late > 0) allow(late, 'late events in more than one log');
  const again = session.events.reduce((sum, { recorded }) => sum + recorded.whileRenamed, 0);
  if (again > 0) allow(again, 'records that were being written while another process renamed the log');
  return { events, why };
}

const eventsIn = (calls: readonly PublishCall[]) => calls.reduce((sum, { events }) => sum + events.length, 0);

/** The last ones: a batch that was not full yet, and the call that would have filled it. */
function unmarked(calls: readonly PublishCall[], batch: number): PublishCall[] {
  const last: PublishCall[] = [];
  for (const call of calls.filter(({ outcome }) => outcome === 'published').reverse()) {
    if (eventsIn(last) >= batch) break;
    last.push(call);
  }
  return last;
}

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

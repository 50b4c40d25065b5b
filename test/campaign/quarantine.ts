import type { Quarantined } from './observations.js';
import {
  certaintyOf,
  isInStore,
  isStarted,
  type Operation,
  type SessionStory,
  type Stories,
} from './stories.js';

/** Why an entry is rightly in quarantine, or undefined if there is no reason in the history. */
export function explainedReason(stories: Stories, entry: Quarantined): string | undefined {
  const { record, reason } = entry;
  if (record === undefined) {
    return wasCutShort(stories, entry.log) ? 'an append that was cut short' : undefined;
  }
  const session = stories.sessions.get(record.sessionId);
  if (session === undefined) return undefined;
  if (reason.includes('expired before')) {
    if (session.final?.status === 'expired') return 'deferred for longer than its session lived';
    return mayHaveBeenRenewed(stories, session, entry.log)
      ? 'deferred when its session had run out, which another log renewed afterwards'
      : undefined;
  }
  if (reason.includes('already ended')) return lostTheRace(session, record.kind);
  if (reason.includes('expected number of events')) {
    const expected = session.commits.some((commit) => expectedEventsOf(commit) !== undefined);
    return expected ? 'a deferred commit whose expectedEvents was not met' : undefined;
  }
  if (reason.includes('knows this session')) return startedElsewhere(stories, session, entry.log);
  return undefined;
}

export function expectedEventsOf({ command }: Operation): number | undefined {
  return command.command === 'commit' ? command.expectedEvents : undefined;
}

/** A process of this log died or its disk was full: then a last line may be torn. */
function wasCutShort({ processes, faults }: Stories, log: string): boolean {
  const someDied = [...processes.values()].some((process) => process.log === log && process.died);
  return someDied || faults.some(({ fault, target }) => target === log && fault.startsWith('disk'));
}

/** The store was away from it, and the other one came first. A commit that has begun counts, whatever its caller was told. */
function lostTheRace(session: SessionStory, kind: string): string | undefined {
  const { final, commits, rollbacks, attempts } = session;
  const asked = (ends: readonly Operation[]) => ends.some((end) => certaintyOf(end) !== 'refused');
  if (kind === 'session.commit_requested') {
    const lost = final?.status === 'rolled_back' && asked(rollbacks);
    return lost && asked(commits) ? 'a deferred commit that came second' : undefined;
  }
  if (kind === 'session.rollback_requested') {
    const lost = final?.status === 'committed' && (attempts.length > 0 || asked(commits));
    return lost && asked(rollbacks) ? 'a deferred rollback that came second' : undefined;
  }
  return undefined;
}

/** What another log had of a session with a time to live of its own let it go on, without what came too late. */
function mayHaveBeenRenewed({ processes }: Stories, { starts, adds }: SessionStory, log: string): boolean {
  const isShortLived = starts.some(({ command }) => command.command === 'start' && command.ttl !== undefined);
  return isShortLived && adds.some((add) => !isInStore(add) && processes.get(add.process)?.log !== log);
}

/** The session's start waits in the log of another host, or has come to nothing. */
function startedElsewhere({ processes }: Stories, session: SessionStory, log: string): string | undefined {
  const started = session.starts.filter(isStarted);
  if (started.length === 0) return 'its start was never acknowledged';
  const elsewhere = started.every(
    ({ process, receipt }) => receipt.deferred && processes.get(process)?.log !== log,
  );
  return elsewhere ? 'its start was waiting in another log' : undefined;
}

import type { CheckerSettings, Rule, Violation } from '../checker.js';
import { explainedReason } from '../quarantine.js';
import type { Operation, ProcessFailure, Stories } from '../stories.js';

/** G6, G7, G8: nothing was aborted that the log could take, nothing hangs or crashes, and the log is empty at the end. */
export const leftovers: Rule = (stories, settings) => [
  ...stories.operations.flatMap((operation) => [
    ...aborted(stories, operation, settings),
    ...neverSettled(stories, operation),
  ]),
  ...stories.failures.map(brokenProcess),
  ...quarantined(stories),
  ...backlog(stories),
];

/** Answers that are no refusal of the caller's own doing. */
const FAULTS = ['STORE_UNAVAILABLE', 'PUBLISH_FAILED', 'CONTINGENCY_FAILED', 'SESSION_CORRUPT', 'unexpected'];

function aborted(stories: Stories, operation: Operation, settings: CheckerSettings): Violation[] {
  const { failure, command, process } = operation;
  if (failure === undefined || !FAULTS.includes(failure.code)) return [];
  const isExcused = logWasAway(stories, operation, settings) || isBehindRefusedEnd(stories, operation);
  if (failure.code === 'CONTINGENCY_FAILED' && isExcused) return [];
  const { sessionId } = command;
  const message = `${command.command} of ${process} failed with ${failure.code}: ${failure.message}`;
  return [{ guarantee: 'G6', rule: 'aborted', sessionId, message }];
}

function logWasAway(
  { processes, faults }: Stories,
  { process, invoked, settled, failure }: Operation,
  { smallLogs = [] }: CheckerSettings,
): boolean {
  const log = processes.get(process)?.log ?? '';
  if (smallLogs.includes(log) && failure?.message.includes('is full')) return true;
  const until = settled?.at ?? Number.POSITIVE_INFINITY;
  return faults.some(
    (fault) =>
      fault.target === log &&
      fault.fault.startsWith('disk') &&
      fault.from <= until &&
      fault.until >= invoked.at,
  );
}

/** The other end was asked for before, and the log refused it; so either may count, and neither can be acknowledged. */
function isBehindRefusedEnd({ sessions }: Stories, { process, command, invoked }: Operation): boolean {
  const session = sessions.get(command.sessionId ?? '');
  const others = { commit: session?.rollbacks, rollback: session?.commits };
  const before =
    command.command === 'commit' || command.command === 'rollback' ? others[command.command] : [];
  return (before ?? []).some(
    (other) =>
      other.process === process &&
      other.invoked.n < invoked.n &&
      other.failure?.code === 'CONTINGENCY_FAILED',
  );
}

function neverSettled({ processes }: Stories, operation: Operation): Violation[] {
  const { process, command, settled } = operation;
  if (settled !== undefined || processes.get(process)?.ended !== true) return [];
  const message = `${command.command} of ${process} was never answered, and the process closed`;
  return [{ guarantee: 'G7', rule: 'never settled', sessionId: command.sessionId, message }];
}

function brokenProcess(failure: ProcessFailure): Violation {
  return failure.kind === 'crashed'
    ? { guarantee: 'G8', rule: 'process crashed', message: `${failure.victim}: ${failure.complaint}` }
    : { guarantee: 'G7', rule: 'process hung', message: `${failure.victim} did not close in time` };
}

function quarantined(stories: Stories): Violation[] {
  return stories.observations.quarantine.flatMap((entry) => {
    if (explainedReason(stories, entry) !== undefined) return [];
    const { record, reason, log } = entry;
    const message = `${record?.kind ?? 'an unreadable line'} in the quarantine of ${log}: ${reason}`;
    return [
      { guarantee: 'G1', rule: 'unexplained quarantine', sessionId: record?.sessionId, message } as const,
    ];
  });
}

function backlog({ observations }: Stories): Violation[] {
  return [...observations.backlog].flatMap(([log, records]) => {
    if (records === 0) return [];
    const message = `${records} records are left in ${log}`;
    return [{ guarantee: 'G1', rule: 'backlog left', message } as const];
  });
}

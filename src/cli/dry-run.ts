import { harmless } from '../core/harmless.js';
import type { SessionStore } from '../ports/session-store.js';
import type { CommandContext } from './command.js';
import { EXIT } from './exit-codes.js';
import { isInterrupted, type PlannedSession, patienceOf, planLog, waitText } from './log-plan.js';
import { mustHaveFile } from './parts.js';
import type { SessionPlan } from './session-plan.js';
import { type Column, tableLines } from './terminal.js';
import { countText, numberText } from './wording.js';

interface Interrupted {
  readonly sessionId: string;
  readonly events: number;
  /** Events that its attempts have not dealt with. */
  readonly left: number;
}

/** Sessions of the store's index that are looked at for interrupted commits. */
const MAX_LOOKED_AT = 10_000;

/**
 * Says what a recovery would do now, and does nothing of it. Reads the log without sealing it, and of the store only
 * sessions. Overdue open sessions are not looked for: to find them is to change the index.
 *
 * @throws `STORE_UNAVAILABLE`
 */
export async function showDryRun(context: CommandContext, store: SessionStore): Promise<number> {
  const { flags, settings, stdout } = context;
  const file = mustHaveFile(settings);
  const patienceMs = patienceOf(settings);
  try {
    const { sessions, unreadable } = await planLog(file, store, patienceMs, context.signal);
    const interrupted = await interruptedCommits(store, new Set(sessions.map(({ sessionId }) => sessionId)));
    const quarantined =
      sum(sessions.flatMap(({ quarantine }) => quarantine.map(({ records }) => records))) + unreadable;
    const waiting = sum(sessions.map(({ wait }) => wait));
    const result = { file, sessions, interrupted, unreadable, quarantined, waiting };
    if (flags.json === true) stdout.line(JSON.stringify({ type: 'dry-run', ...result }));
    else show(context, result, patienceMs);
    return quarantined + waiting > 0 ? EXIT.left : EXIT.ok;
  } finally {
    await store.close().catch(() => {});
  }
}

async function interruptedCommits(store: SessionStore, except: ReadonlySet<string>): Promise<Interrupted[]> {
  const found: Interrupted[] = [];
  let cursor: string | undefined;
  let lookedAt = 0;
  do {
    const page = await store.list({ status: 'committing', limit: 500, cursor });
    for (const { sessionId } of page.sessions) {
      const session = except.has(sessionId) ? undefined : await store.get(sessionId);
      if (session !== undefined && isInterrupted(session))
        found.push({ sessionId, events: session.events, left: session.events - session.cursor });
    }
    cursor = page.cursor;
    lookedAt += 500;
  } while (cursor !== undefined && lookedAt < MAX_LOOKED_AT);
  return found;
}

interface DryRun {
  readonly file: string;
  readonly sessions: readonly PlannedSession[];
  readonly interrupted: readonly Interrupted[];
  readonly unreadable: number;
  readonly quarantined: number;
  readonly waiting: number;
}

function show(
  { stdout }: CommandContext,
  { file, sessions, interrupted, unreadable, quarantined, waiting }: DryRun,
  patienceMs: number,
): void {
  const { line, paint } = stdout;
  line(`${paint('bold', 'Dry run: nothing is changed.')} ${file}`);
  const rows = [
    ...sessions.map((session) => [harmless(session.sessionId), session.status, planText(session)]),
    ...interrupted.map(({ sessionId, left }) => [
      sessionId,
      'committing',
      `finish the interrupted commit, publish ${countText(left, 'event')}`,
    ]),
  ];
  if (rows.length === 0 && unreadable === 0) {
    line('Nothing would be done: the log is empty, and no commit was interrupted.');
    return;
  }
  const columns: Column[] = [{ title: 'SESSION' }, { title: 'IN THE STORE' }, { title: 'WOULD' }];
  line();
  for (const text of tableLines(columns, rows, paint)) line(text);
  line();
  const publish = sum(sessions.map((session) => session.publish)) + sum(interrupted.map(({ left }) => left));
  const parts = [
    `${countText(rows.length, 'session')}`,
    `bring back ${countText(sum(sessions.map(({ restore }) => restore)), 'event')}`,
    `publish ${numberText(publish)}`,
    `discard ${numberText(sum(sessions.map(({ discard }) => discard)))}`,
  ];
  line(`Would look at ${parts.join(', ')}.`);
  if (waiting > 0) line(paint('yellow', `Would leave ${waitText(waiting, patienceMs)}.`));
  if (quarantined === 0) return;
  const lines = unreadable === 0 ? '' : `, ${countText(unreadable, 'unreadable line')} among them`;
  line(paint('yellow', `Would put ${countText(quarantined, 'record')} into the quarantine${lines}.`));
}

function planText(plan: SessionPlan): string {
  const { start, restore, known, end, publish, discard, wait, quarantine } = plan;
  const steps = [
    ...(start ? ['start it'] : []),
    ...(restore > 0 ? [`bring back ${countText(restore, 'event')}`] : []),
    ...(end === 'rollback' ? ['roll it back'] : []),
    ...(end === 'commit' ? ['commit it'] : []),
    ...(publish > 0 ? [`publish ${countText(publish, 'event')}`] : []),
    ...(discard > 0 ? [`discard ${countText(discard, 'event')}`] : []),
    ...(wait > 0 ? [`leave ${countText(wait, 'record')} for later: what is missing may still come`] : []),
    ...quarantine.map(({ reason, records }) => `quarantine ${countText(records, 'record')}: ${reason}`),
    ...(known > 0 ? [`find ${countText(known, 'event')} already there`] : []),
  ];
  return steps.length === 0 ? 'nothing: it has all been done' : steps.join(', ');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

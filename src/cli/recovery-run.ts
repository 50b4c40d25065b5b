import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockPathOf } from '../adapters/file/file-names.js';
import { lockHolder } from '../adapters/file/recovery-lock.js';
import type { RecoveryProgress, RecoveryReport } from '../contingency/recovery-pass.js';
import { isEventSessionsError, messageOf } from '../core/errors.js';
import { DEFAULT_RECOVERY_MS } from '../defaults.js';
import type { EventSessions } from '../event-sessions.js';
import type { ContingencyLog } from '../ports/contingency-log.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import type { Logger } from '../ports/logger.js';
import type { SessionStore } from '../ports/session-store.js';
import { gatherBacklog, recoveryText } from './backlog.js';
import type { CommandContext } from './command.js';
import { EXIT, exitCodeOfSignal } from './exit-codes.js';
import { patienceOf, planLog, waitText } from './log-plan.js';
import { jsonVoice, type RecoveryVoice, textVoice } from './recovery-voice.js';
import type { Settings } from './settings.js';

export interface RecoveryParts {
  readonly store: SessionStore;
  readonly publisher: EventPublisher;
  readonly log: ContingencyLog | false;
  /** Repeat for so long; undefined: one pass. */
  readonly timeoutMs: number | undefined;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

/** Passes, until nothing is left, the time is over, or somebody asks for the end. Answers the exit code. */
export async function recoverNow(context: CommandContext, parts: RecoveryParts): Promise<number> {
  const { flags, settings, stdout, stderr } = context;
  const voice = flags.json === true ? jsonVoice(stdout) : textVoice(stdout, stderr, flags.verbose === true);
  const timeout = parts.timeoutMs === undefined ? undefined : AbortSignal.timeout(parts.timeoutMs);
  const stop = timeout === undefined ? context.signal : AbortSignal.any([context.signal, timeout]);
  const { createEventSessions } = await import('event-sessions');
  const sessions = createEventSessions({
    ...settings.options,
    store: parts.store,
    publisher: parts.publisher,
    contingency: parts.log,
    recovery: false,
    logger: settings.options.logger ?? warningsOnly(voice, stop),
  });
  // The pass ends behind what it is at; a commit stops between two batches, and gives its lease back.
  const close = () => {
    if (context.signal.aborted)
      voice.note('Stopping after the session at work. Press Ctrl-C again to stop at once.');
    void sessions.close();
  };
  stop.addEventListener('abort', close);
  try {
    await warnOfForeignFile(settings.file, voice);
    return await passes(context, parts, { sessions, voice, stop });
  } finally {
    voice.silence();
    stop.removeEventListener('abort', close);
    await sessions.close();
  }
}

interface Running {
  readonly sessions: EventSessions;
  readonly voice: RecoveryVoice;
  readonly stop: AbortSignal;
}

async function passes(context: CommandContext, parts: RecoveryParts, running: Running): Promise<number> {
  const { settings, signal } = context;
  const { store, publisher, log, timeoutMs } = parts;
  const { sessions, voice, stop } = running;
  const file = log === false ? undefined : settings.file;
  const totals: Record<string, number | boolean> = {};
  const notes: string[] = [];
  let down: string[] = [];
  let waiting: Waiting | undefined;
  let waitedMs = 0;
  let pass = 0;
  let publishedNow = 0;
  let left: number | undefined;

  try {
    const backlog = file === undefined ? undefined : await gatherBacklog(file);
    left = backlog?.records;
    voice.start(backlog);
    sessions.on('batch.published', ({ events }) => {
      publishedNow += events;
    });
    sessions.on('contingency.recovered', voice.recovered);
    sessions.on('contingency.quarantined', voice.quarantined);

    for (let wait = FIRST_WAIT_MS; !stop.aborted; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      waiting = undefined;
      down = await unreachable({ store });
      if (down.length === 0) {
        pass += 1;
        const before = { ...totals };
        const expected = left ?? 0;
        const onProgress = (progress: RecoveryProgress) =>
          voice.progress(withUnread(progress, expected), publishedNow);
        const report = await sessions.recover({ onProgress }).catch((error: unknown) => {
          // Asked to end just before it began.
          if (isEventSessionsError(error, 'CLOSED')) return undefined;
          throw error;
        });
        if (report === undefined) break;
        Object.assign(totals, added(before, report));
        voice.passEnded(pass, report);
        left = stop.aborted || log === false ? report.remaining : (await log.backlog()).records;
        if (left === 0 && report.complete) break;
        if (!report.complete) down = await unreachable({ store, publisher });
        waiting =
          file === undefined || down.length > 0 ? undefined : await whatWaits(file, store, settings, stop);
      }
      if (timeoutMs === undefined) break;
      if (waiting?.isAll !== true) waitedMs = 0;
      else if (waitedMs >= othersMs(settings)) break;
      else waitedMs += wait;
      for (const text of down) voice.note(text);
      if (waiting !== undefined) voice.note(waiting.text);
      voice.waiting(wait);
      await sleep(wait, undefined, { signal: stop }).catch(() => {});
    }
  } catch (error) {
    // Of the log: a pass fails at nothing else.
    if (!isEventSessionsError(error)) throw error;
    left = undefined;
    notes.push(error.message);
  }

  const isDone = left === 0 && totals.complete === true && totals.quarantined === 0 && totals.corrupt === 0;
  const exitCode = exitCodeOf();
  if (signal.aborted) notes.push('ended early, as asked; what is left is still in the log');
  else if (stop.aborted) notes.push('the time is over');
  if (!signal.aborted) notes.push(...down);
  if (!signal.aborted && waiting !== undefined) notes.push(waiting.text);
  const holder = file === undefined || !left ? undefined : await lockHolder(lockPathOf(file));
  if (holder !== undefined) notes.push(recoveryText(holder));
  voice.end({ exitCode, passes: pass, left, report: totals, notes });
  return exitCode;

  function exitCodeOf(): number {
    if (signal.aborted) return exitCodeOfSignal(signal.reason);
    if (isDone) return EXIT.ok;
    return down.length > 0 ? EXIT.unreachable : EXIT.left;
  }
}

/** A pass publishes while it reads the log; what it has yet to read is yet to be done. */
function withUnread(progress: RecoveryProgress, expected: number): RecoveryProgress {
  const unread = Math.max(0, expected - progress.records);
  return { ...progress, records: progress.records + unread, remaining: progress.remaining + unread };
}

interface Waiting {
  readonly text: string;
  /** Nothing else is left. */
  readonly isAll: boolean;
}

/** The records that this host's recovery can do nothing about; undefined if there are none, or it can't be told. */
async function whatWaits(
  file: string,
  store: SessionStore,
  settings: Settings,
  signal: AbortSignal,
): Promise<Waiting | undefined> {
  // What another recovery is at work on is not left by this one.
  if (signal.aborted || (await lockHolder(lockPathOf(file))) !== undefined) return undefined;
  const patienceMs = patienceOf(settings);
  try {
    const { sessions, unreadable } = await planLog(file, store, patienceMs, signal);
    const records = sessions.reduce((sum, { wait }) => sum + wait, 0);
    if (records === 0) return undefined;
    const isAll = unreadable === 0 && sessions.every(({ wait }) => wait > 0);
    return { text: `left ${waitText(records, patienceMs)}`, isAll };
  } catch {
    return undefined;
  }
}

/** So long `--until-done` waits for the instances of other hosts, which recover by themselves: two of their passes. */
function othersMs({ options: { recovery } }: Settings): number {
  const intervalMs = recovery === false ? undefined : recovery?.intervalMs;
  return 2 * (intervalMs ?? DEFAULT_RECOVERY_MS);
}

/** What cannot be reached, in words. */
async function unreachable(parts: { readonly [name: string]: { ping(): Promise<void> } }): Promise<string[]> {
  const results = await Promise.all(
    Object.values(parts).map((part) =>
      part.ping().then(
        () => [],
        (error) => [messageOf(error)],
      ),
    ),
  );
  return results.flat();
}

/** Not done by a pass but found by it, so it does not add up over passes. */
const FOUND: ReadonlySet<string> = new Set<keyof RecoveryReport>(['corrupt', 'remaining']);

/** Counts add up over passes; what is left is as the last one says. */
function added(
  totals: Readonly<Record<string, number | boolean>>,
  report: Partial<RecoveryReport>,
): Record<string, number | boolean> {
  const sums = Object.entries(report).map(([field, value]): [string, number | boolean] => {
    const before = totals[field];
    const adds = typeof value === 'number' && typeof before === 'number' && !FOUND.has(field);
    return [field, adds ? before + value : value];
  });
  return { ...totals, ...Object.fromEntries(sums) };
}

/** What the library would log and is not told by its events. Nothing once the end was asked for: it would be about that. */
function warningsOnly(voice: RecoveryVoice, stop: AbortSignal): Logger {
  const say: Logger['warn'] = (message, context) => {
    if (stop.aborted || message === 'A contingency record was quarantined') return;
    const { sessionId, cause } = context ?? {};
    voice.note([message, sessionId, cause].filter((part) => part !== undefined).join(': '));
  };
  return { debug() {}, info() {}, warn: say, error: say };
}

/** Files that root leaves in a folder of the service are files that the service cannot read. */
async function warnOfForeignFile(file: string | undefined, voice: RecoveryVoice): Promise<void> {
  const me = process.getuid?.();
  if (file === undefined || me === undefined) return;
  const found =
    (await stat(file).catch(() => undefined)) ?? (await stat(dirname(file)).catch(() => undefined));
  if (found === undefined || found.uid === me) return;
  voice.note(
    `${file} belongs to user ${found.uid}, and this is user ${me}: run it as that one, or services may not be able to read what it leaves`,
  );
}

import { quarantinePathOf } from '../adapters/file/file-names.js';
import type { RecoveryProgress, RecoveryReport } from '../contingency/recovery-pass.js';
import { harmless } from '../core/harmless.js';
import type { Backlog } from './backlog.js';
import { type ProgressBar, progressBar } from './progress-bar.js';
import type { Terminal } from './terminal.js';
import { bytesText, countText, numberText, spanText } from './wording.js';

/** How `recover` ended, over all its passes. */
export interface RecoveryEnd {
  readonly exitCode: number;
  readonly passes: number;
  /** Records that wait in the log; undefined when that can't be told. */
  readonly left: number | undefined;
  /** Sums over the passes, as far as a sum makes sense. */
  readonly report: Partial<RecoveryReport>;
  /** In words, why it is not all done. */
  readonly notes: readonly string[];
}

/** What `recover` says while it works, and at the end. */
export interface RecoveryVoice {
  start(backlog: Backlog | undefined): void;
  /** Of the pass at work. `published` comes more often than it does. */
  progress(progress: RecoveryProgress, published: number): void;
  recovered(session: {
    readonly sessionId: string;
    readonly records: number;
    readonly published: number;
  }): void;
  quarantined(entry: { readonly sessionId?: string | undefined; readonly reason: string }): void;
  note(text: string): void;
  passEnded(pass: number, report: RecoveryReport): void;
  waiting(ms: number): void;
  end(end: RecoveryEnd): void;
  /** Leaves nothing half drawn behind, however it ended. */
  silence(): void;
}

/** Milliseconds between two lines of progress. */
const JSON_EVERY_MS = 200;

/** JSON lines on stdout, each with a `type`. */
export function jsonVoice(stdout: Terminal): RecoveryVoice {
  let saidAt = Number.NEGATIVE_INFINITY;
  const say = (type: string, facts: object) => stdout.line(JSON.stringify({ type, ...facts }));
  return {
    start: (backlog) => {
      if (backlog === undefined) return say('start', {});
      const { file, records, bytes, oldestAt, unreadable, sessions } = backlog;
      say('start', { file, records, bytes, oldestAt, unreadable, sessions: sessions.length });
    },
    progress(progress) {
      const now = performance.now();
      if (now - saidAt < JSON_EVERY_MS) return;
      saidAt = now;
      say('progress', progress);
    },
    recovered: ({ sessionId, records, published }) => say('recovered', { sessionId, records, published }),
    quarantined: ({ sessionId, reason }) => say('quarantined', { sessionId, reason }),
    note: (message) => say('note', { message }),
    passEnded: (pass, report) => say('pass', { pass, ...report }),
    waiting: (ms) => say('waiting', { ms }),
    end: (end) => say('end', end),
    silence() {},
  };
}

/** Quarantined entries that are told one by one. */
const MAX_TOLD = 20;
/** Milliseconds between two lines of progress where there is no terminal to draw on. */
const LINE_EVERY_MS = 5_000;

/** The outcome on stdout, everything else on stderr: a progress bar on a terminal, plain lines elsewhere. */
export function textVoice(stdout: Terminal, stderr: Terminal, verbose: boolean): RecoveryVoice {
  const bar: ProgressBar | undefined = stderr.isInteractive ? progressBar(stderr, 'Recovering') : undefined;
  let quarantined = 0;
  let file: string | undefined;
  let lineAt = performance.now();

  const say = (text: string) => {
    bar?.clear();
    stderr.line(text);
  };
  const { paint } = stderr;

  return {
    start(backlog) {
      file = backlog?.file;
      if (backlog === undefined) return;
      const what = `${countText(backlog.records, 'record')} of ${countText(backlog.sessions.length, 'session')}`;
      // A path that was mistyped looks like a log that is done with.
      const found =
        backlog.files.length === 0
          ? 'nothing waits, there is no such file'
          : `${what}, ${bytesText(backlog.bytes)}`;
      say(`${backlog.file}: ${found}`);
    },
    progress({ records, remaining, sessions }, published) {
      const done = records - remaining;
      const parts = [
        `${numberText(done)}/${numberText(records)} records`,
        countText(sessions, 'session'),
        `${numberText(published)} published`,
      ];
      bar?.update(done, records, parts.join(' · '));
      if (bar !== undefined || performance.now() - lineAt < LINE_EVERY_MS) return;
      lineAt = performance.now();
      say(parts.join(' · '));
    },
    recovered({ sessionId, records, published }) {
      if (verbose)
        say(
          `${paint('green', 'recovered')}  ${sessionId}  ${countText(records, 'record')}, ${published} published`,
        );
    },
    quarantined({ sessionId, reason }) {
      quarantined += 1;
      const who = sessionId === undefined ? '' : `${harmless(sessionId)}  `;
      if (quarantined <= MAX_TOLD) say(`${paint('yellow', 'quarantined')}  ${who}${harmless(reason)}`);
      else if (quarantined === MAX_TOLD + 1) say(paint('yellow', '… and more, see the quarantine file'));
    },
    note: (text) => say(`${paint('yellow', 'note')}  ${harmless(text)}`),
    passEnded(pass, report) {
      if (verbose)
        say(
          `pass ${pass} ended after ${spanText(report.durationMs)}, ${countText(report.remaining, 'record')} left`,
        );
    },
    waiting: (ms) => say(paint('dim', `the next pass begins in ${spanText(ms)}`)),
    end({ report, left, notes, exitCode }) {
      bar?.clear();
      for (const text of notes) say(`${paint('yellow', 'note')}  ${harmless(text)}`);
      for (const text of reportLines(report, left, exitCode, stdout, file)) stdout.line(text);
    },
    silence: () => bar?.clear(),
  };
}

function reportLines(
  report: RecoveryEnd['report'],
  left: number | undefined,
  exitCode: number,
  { paint }: Terminal,
  file: string | undefined,
): string[] {
  const { durationMs, remaining: _, complete: __, ...counts } = report;
  const quarantined = report.quarantined ?? 0;
  const head =
    exitCode === 0
      ? paint('green', 'All done')
      : paint('yellow', headOf(left, quarantined + (report.corrupt ?? 0)));
  const rows = Object.entries(counts).filter(([, value]) => typeof value === 'number');
  const widest = Math.max(...rows.map(([, value]) => numberText(value as number).length), 1);
  const row = (value: number | undefined, text: string) =>
    `  ${(value === undefined ? '?' : numberText(value)).padStart(widest)}  ${text}`;
  return [
    `${head}${durationMs === undefined ? '' : ` in ${spanText(durationMs)}`}`,
    ...rows.map(([name, value]) => row(value as number, words(name, value as number))),
    row(left, 'left in the log'),
    ...(quarantined > 0 && file !== undefined
      ? [`Look at ${quarantinePathOf(file)}: event-sessions inspect`]
      : []),
  ];
}

function headOf(left: number | undefined, lost: number): string {
  return left === 0 && lost > 0 ? 'Done, but not all of it could be brought back' : 'Not all done';
}

const WORDS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  sessions: ['session looked at', 'sessions looked at'],
  events: ['event brought back into its session', 'events brought back into their sessions'],
  published: ['event published', 'events published'],
  duplicatesPossible: ['of them possibly published before', 'of them possibly published before'],
  discarded: ['event discarded (rolled back or expired)', 'events discarded (rolled back or expired)'],
  corrupt: [
    'commit that cannot be finished: the store has lost events of its session (SESSION_CORRUPT)',
    'commits that cannot be finished: the store has lost events of their sessions (SESSION_CORRUPT)',
  ],
  quarantined: ['record put into the quarantine', 'records put into the quarantine'],
};

/** A field of the report that is not known here is told in its own words. */
function words(field: string, value: number): string {
  const [one, many] = WORDS[field] ?? [];
  return (value === 1 ? one : many) ?? field.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

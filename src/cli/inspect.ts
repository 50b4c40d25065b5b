import { harmless } from '../core/harmless.js';
import {
  type Backlog,
  gatherBacklog,
  kindsText,
  type QuarantineSummary,
  recoveryText,
  summarizeQuarantine,
} from './backlog.js';
import type { Command, CommandContext } from './command.js';
import { JSON_FLAG } from './command.js';
import { EXIT, UsageError, untilAborted } from './exit-codes.js';
import { mustHaveFile } from './parts.js';
import { showSession } from './session-story.js';
import { tableLines } from './terminal.js';
import { agoText, bytesText, countText, numberText } from './wording.js';

const DEFAULT_LIMIT = 50;

export const inspect: Command = {
  name: 'inspect',
  summary: 'show what waits in the contingency log, and what lies in quarantine',
  description: [
    'Shows each session in the log: its records, their kinds, sizes and ages; lines that cannot be read; and the\n' +
      'quarantine. With --session, that session from its first to its last record, and what the store knows of it.',
    'It only reads: it takes no lock and changes nothing, and services and recoveries may be at work meanwhile.\n' +
      "Events' data is personal: it is shown only with --data.",
  ],
  flags: {
    session: { type: 'string', value: 'ID', help: 'the story of this session, in order' },
    data: { type: 'boolean', help: 'with --session: the data of its events, and its metadata' },
    limit: {
      type: 'string',
      value: 'N',
      help: `show so many sessions, the oldest (default ${DEFAULT_LIMIT}, 0: all); not with --json`,
    },
    ...JSON_FLAG,
  },
  examples: [
    'event-sessions inspect --file /var/lib/shop/contingency-log.jsonl',
    'event-sessions inspect --session eNEWcW_ZsHO1VjOaNplnLg --redis redis://127.0.0.1:6379',
    "event-sessions inspect --json | jq -r '.sessions[].sessionId'",
  ],
  exitCodes: [
    ['0', 'shown; also when there is nothing'],
    ['1', 'the files cannot be read, or nobody knows the session'],
    ['2', 'wrong usage'],
    ['130', 'ended by Ctrl-C (143: by SIGTERM)'],
  ],
  run: (context) => untilAborted(context.signal, show(context)),
};

async function show(context: CommandContext): Promise<number> {
  const { flags, settings } = context;
  const file = mustHaveFile(settings);
  const limit = readLimit(flags.limit as string | undefined);
  const { session } = flags;
  if (typeof session === 'string') return showSession(context, file, session);
  if (flags.data === true) throw new UsageError('--data goes with --session');
  const [backlog, quarantine] = [await gatherBacklog(file), await summarizeQuarantine(file)];
  if (flags.json === true) context.stdout.line(JSON.stringify({ ...backlog, quarantine }));
  else showBacklog(context, backlog, quarantine, limit);
  return EXIT.ok;
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  if (!/^\d{1,9}$/.test(text))
    throw new UsageError(`--limit: expected a whole number, got ${JSON.stringify(text)}`);
  return Number(text) === 0 ? Number.POSITIVE_INFINITY : Number(text);
}

function showBacklog(
  { stdout }: CommandContext,
  backlog: Backlog,
  quarantine: QuarantineSummary,
  limit: number,
): void {
  const { paint, line } = stdout;
  const now = Date.now();
  const { file, files, records, bytes, oldestAt, unreadable, unfinished, recovery, sessions } = backlog;
  line(paint('bold', file));
  if (files.length === 0) {
    line('Nothing waits for recovery: there is no such file, or it is empty.');
  } else {
    const sealed = files.filter((part) => part.sealed).length;
    const parts = [
      `${countText(records, 'record')} of ${countText(sessions.length, 'session')}`,
      bytesText(bytes),
      ...(oldestAt === undefined ? [] : [`the oldest ${agoText(oldestAt, now)}`]),
      ...(sealed === 0 ? [] : [`${countText(sealed, 'sealed part')}`]),
    ];
    line(parts.join(' · '));
  }
  if (recovery !== undefined) line(paint('cyan', recoveryText(recovery)));
  if (unreadable > 0) {
    const lines = countText(unreadable, 'line');
    line(
      paint(
        'yellow',
        `${lines} cannot be read: recovery will put ${unreadable === 1 ? 'it' : 'them'} into the quarantine`,
      ),
    );
  }
  if (unfinished > 0) line(paint('dim', 'It ends in a write that is under way, or was cut off.'));

  if (sessions.length > 0) {
    const rows = sessions
      .slice(0, limit)
      .map(({ sessionId, records: count, bytes: size, oldestAt: first, newestAt, kinds }) => [
        harmless(sessionId),
        numberText(count),
        bytesText(size),
        agoText(first, now),
        agoText(newestAt, now),
        kindsText(kinds),
      ]);
    line();
    const columns = [
      { title: 'SESSION' },
      { title: 'RECORDS', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'OLDEST', align: 'right' },
      { title: 'NEWEST', align: 'right' },
      { title: 'WHAT' },
    ] as const;
    for (const text of tableLines(columns, rows, paint)) line(text);
    const more = sessions.length - rows.length;
    if (more > 0) line(paint('dim', `… and ${countText(more, 'session')} more (--limit 0 shows all)`));
  }

  line();
  if (quarantine.entries === 0) {
    line('Quarantine: empty');
    return;
  }
  const { entries, oldestAt: from, newestAt: to } = quarantine;
  const ages = new Set([from, to].flatMap((at) => (at === undefined ? [] : [agoText(at, now)])));
  line(
    paint(
      'yellow',
      `Quarantine: ${countText(entries, 'entry', 'entries')} · ${bytesText(quarantine.bytes)} · ${[...ages].join(' to ')}`,
    ),
  );
  line(paint('dim', quarantine.file));
  for (const { reason, entries: count } of quarantine.reasons) {
    line(`  ${numberText(count).padStart(6)}  ${harmless(reason)}`);
  }
}

import type { Command } from './command.js';
import { showDryRun } from './dry-run.js';
import { UsageError, untilAborted } from './exit-codes.js';
import { mustOpenPublisher, mustOpenStore, openLog } from './parts.js';
import { recoverNow } from './recovery-run.js';
import { parseDuration } from './wording.js';

const DEFAULT_TIMEOUT = '10m';

export const recover: Command = {
  name: 'recover',
  summary: 'bring back what the contingency log holds, and publish what is owed',
  description: [
    'Runs one recovery pass, as every service does by itself: brings records of the log back into the store, finishes\n' +
      'requested and interrupted commits, publishes what is owed, and puts into quarantine what can never be replayed.\n' +
      'It may run while services do, and may be killed at any moment.',
    'Run it as the user that the services run as. Before you point it at a store for the first time, use --dry-run:\n' +
      'records whose session neither that store nor the log knows wait for as long as an open session lives (24 hours, or\n' +
      'ttl of the config file), because the log of another host may bring its start. Then they go into quarantine.',
    'The outcome goes to stdout; progress goes to stderr, as a bar on a terminal, else as plain lines.',
  ],
  flags: {
    'dry-run': { type: 'boolean', help: 'say what would be done, per session, and change nothing' },
    'until-done': {
      type: 'boolean',
      help: 'repeat until nothing is left, or only what other hosts must bring; for at most --timeout',
    },
    timeout: {
      type: 'string',
      value: 'DURATION',
      help: `the bound of --until-done: 30s, 10m, 2h (default ${DEFAULT_TIMEOUT})`,
    },
    json: {
      type: 'boolean',
      help: 'JSON lines on stdout: start, progress, recovered, quarantined, note, pass, waiting, end',
    },
    verbose: { type: 'boolean', short: 'v', help: 'a line for each session' },
  },
  examples: [
    'event-sessions recover --redis redis://127.0.0.1:6379 --nsqd 127.0.0.1:4150 --file contingency-log.jsonl --dry-run',
    'event-sessions recover --until-done --timeout 30m',
    'event-sessions recover --json | jq \'select(.type == "end")\'',
  ],
  exitCodes: [
    ['0', 'all done: nothing is left in the log. Dry run: all of it could be done'],
    ['1', 'something is left, cannot be finished, or was quarantined (dry run: would be)'],
    ['2', 'wrong usage'],
    ['3', 'the store or the broker could not be reached; everything they could not take is still in the log'],
    ['130', 'ended by Ctrl-C (143: by SIGTERM), between two sessions. A second one ends it at once'],
  ],
  async run(context) {
    const { flags, settings } = context;
    const isDry = flags['dry-run'] === true;
    const untilDone = flags['until-done'] === true;
    if (flags.timeout !== undefined && !untilDone) throw new UsageError('--timeout goes with --until-done');
    if (isDry && untilDone) throw new UsageError('--dry-run and --until-done do not go together');
    const timeoutMs = parseDuration((flags.timeout as string | undefined) ?? DEFAULT_TIMEOUT);
    if (timeoutMs === undefined) {
      throw new UsageError(
        `--timeout: expected a duration such as 30s, 10m or 2h, got ${JSON.stringify(flags.timeout)}`,
      );
    }
    const store = await mustOpenStore(settings);
    if (isDry) return untilAborted(context.signal, showDryRun(context, store));
    const publisher = await mustOpenPublisher(settings);
    const log = await openLog(settings);
    return recoverNow(context, { store, publisher, log, timeoutMs: untilDone ? timeoutMs : undefined });
  },
};

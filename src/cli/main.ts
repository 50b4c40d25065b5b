import { isEventSessionsError, messageOf } from '../core/errors.js';
import { harmless } from '../core/harmless.js';
import { type Flags, parseArguments } from './arguments.js';
import type { Command } from './command.js';
import { didYouMean } from './did-you-mean.js';
import { doctor } from './doctor.js';
import { EXIT, UsageError } from './exit-codes.js';
import { COMMON_FLAGS, commandHelp, globalHelp } from './help.js';
import { inspect } from './inspect.js';
import { recover } from './recover.js';
import { serve } from './serve.js';
import { SETTING_FLAGS } from './setting-list.js';
import { resolveSettings } from './settings.js';
import { type Environment, type Output, terminal } from './terminal.js';

/** Everything that the command line tool gets from outside. */
export interface Surroundings {
  /** Without Node and the script. */
  readonly args: readonly string[];
  readonly env: Environment;
  readonly cwd: string;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted by Ctrl-C or SIGTERM, with the name of the signal as the reason. */
  readonly signal: AbortSignal;
}

const COMMANDS: readonly Command[] = [recover, inspect, doctor, serve];

/** Runs one command and answers the exit code. Never rejects, never ends the process. */
export async function main(surroundings: Surroundings): Promise<number> {
  const stderr = terminal(surroundings.stderr, surroundings.env);
  let command: Command | undefined;
  try {
    return await run(surroundings, (found) => {
      command = found;
    });
  } catch (error) {
    const label = stderr.paint('red', 'event-sessions:');
    if (error instanceof UsageError || isEventSessionsError(error, 'INVALID_INPUT')) {
      stderr.line(`${label} ${error.message}`);
      stderr.line(`Try: event-sessions ${command === undefined ? '' : `${command.name} `}--help`);
      return EXIT.usage;
    }
    if (!isEventSessionsError(error)) {
      stderr.line(`${label} ${error instanceof Error ? error.stack : messageOf(error)}`);
      return EXIT.left;
    }
    stderr.line(`${label} ${harmless(error.message)}`);
    const isUnreachable = error.code === 'STORE_UNAVAILABLE' || error.code === 'PUBLISH_FAILED';
    return isUnreachable ? EXIT.unreachable : EXIT.left;
  }
}

async function run(surroundings: Surroundings, onCommand: (command: Command) => void): Promise<number> {
  const { args, env, cwd, version, signal } = surroundings;
  const stdout = terminal(surroundings.stdout, env);
  const stderr = terminal(surroundings.stderr, env);
  const name = firstWord(args);
  const command = name === undefined || name === 'help' ? undefined : commandNamed(name);
  if (command !== undefined) onCommand(command);
  const own: Flags = command === undefined ? {} : { ...SETTING_FLAGS, ...command.flags };
  const { flags, positionals } = parseArguments(args, { ...own, ...COMMON_FLAGS });

  if (flags.version === true) {
    stdout.line(version);
    return EXIT.ok;
  }
  if (name === 'help' || flags.help === true) {
    const about = command ?? (positionals[1] === undefined ? undefined : commandNamed(positionals[1]));
    stdout.line(
      about === undefined ? globalHelp(COMMANDS, version, stdout.paint) : commandHelp(about, stdout.paint),
    );
    return EXIT.ok;
  }
  if (command === undefined) {
    stderr.line(globalHelp(COMMANDS, version, stderr.paint));
    return EXIT.usage;
  }
  const surplus = positionals[1];
  if (surplus !== undefined) {
    const hint = 'session' in command.flags ? `; for a session: --session ${surplus}` : '';
    throw new UsageError(
      `${command.name} takes no arguments, but was given ${JSON.stringify(surplus)}${hint}`,
    );
  }
  const settings = await resolveSettings(flags, env, cwd);
  return command.run({ flags, settings, env, stdout, stderr, signal });
}

/** The command: the first argument that is neither a flag nor the value of one. */
function firstWord(args: readonly string[]): string | undefined {
  const all = Object.assign({}, ...COMMANDS.map(({ flags }) => flags)) as Flags;
  const taking = Object.entries({ ...SETTING_FLAGS, ...all }).filter(([, { type }]) => type === 'string');
  const valued = new Set(taking.map(([flag]) => `--${flag}`));
  return args.find((arg, i) => !arg.startsWith('-') && !valued.has(args[i - 1] ?? ''));
}

function commandNamed(name: string): Command {
  const found = COMMANDS.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const names = COMMANDS.map((candidate) => candidate.name);
  throw new UsageError(
    `unknown command ${JSON.stringify(name)}${didYouMean(name, names)}; there are ${names.join(', ')}`,
  );
}

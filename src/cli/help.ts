import type { Flags } from './arguments.js';
import type { Command } from './command.js';
import { CONFIG_ENV, SETTING_FLAGS, SETTING_KEYS, SETTINGS } from './setting-list.js';
import type { Paint } from './terminal.js';

export const COMMON_FLAGS: Flags = {
  help: { type: 'boolean', short: 'h', help: 'this help' },
  version: { type: 'boolean', short: 'V', help: 'the version' },
};

export function globalHelp(commands: readonly Command[], version: string, paint: Paint): string {
  return page(paint, [
    [undefined, [`event-sessions ${version}: looks after transactional sessions for events`]],
    ['Usage', ['event-sessions <command> [options]']],
    ['Commands', columns(commands.map(({ name, summary }) => [name, summary]))],
    ['Options', flagLines(COMMON_FLAGS)],
    ['Settings of every command', settingLines()],
    ['', [precedence()]],
    [undefined, ['event-sessions <command> --help tells more, with examples and exit codes.']],
  ]);
}

export function commandHelp(command: Command, paint: Paint): string {
  const { name, summary, description, flags, examples, exitCodes } = command;
  return page(paint, [
    [undefined, [`event-sessions ${name}: ${summary}`]],
    ['Usage', [`event-sessions ${name} [options]`]],
    [undefined, description.flatMap((paragraph, i) => (i === 0 ? [paragraph] : ['', paragraph]))],
    ['Options', flagLines({ ...flags, ...COMMON_FLAGS })],
    ['Settings', settingLines()],
    ['', [precedence()]],
    ['Examples', examples],
    ['Exit codes', columns(exitCodes)],
  ]);
}

/** A title of `''` goes on with the part before it, after a blank line; without a title nothing is indented. */
function page(paint: Paint, parts: readonly (readonly [string | undefined, readonly string[]])[]): string {
  return parts
    .map(([title, lines]) => {
      if (title === undefined) return lines.join('\n');
      const body = lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
      return title === '' ? body : `${paint('bold', `${title}:`)}\n${body}`;
    })
    .join('\n\n');
}

function flagLines(flags: Flags): string[] {
  return columns(
    Object.entries(flags).map(([name, { short, value, help }]) => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      help,
    ]),
  );
}

function settingLines(): string[] {
  return columns([
    ...SETTING_KEYS.map((key): [string, string] => {
      const { flag, value, help } = SETTINGS[key];
      return [`--${flag} ${value}`, help];
    }),
    [`--config ${SETTING_FLAGS.config?.value}`, SETTING_FLAGS.config?.help ?? ''],
  ]);
}

function precedence(): string {
  return (
    `Each may also be a variable (--max-bytes: EVENT_SESSIONS_MAX_BYTES; --config: ${CONFIG_ENV}) or a key of the\n` +
    '  config file (maxBytes). A flag counts before the variable, the variable before the config file.'
  );
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`);
}

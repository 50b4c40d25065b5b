import type { Flags, FlagValues } from './arguments.js';
import type { Settings } from './settings.js';
import type { Environment, Terminal } from './terminal.js';

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** Paragraphs of its own help. */
  readonly description: readonly string[];
  /** Those of its own; every command takes the settings, `--help` and `--version` as well. */
  readonly flags: Flags;
  readonly examples: readonly string[];
  readonly exitCodes: readonly (readonly [code: string, meaning: string])[];
  /** Answers the exit code. */
  run(context: CommandContext): Promise<number>;
}

export interface CommandContext {
  readonly flags: FlagValues;
  readonly settings: Settings;
  readonly env: Environment;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Aborts when the user or the system wants the command to end; the reason is the name of the signal. */
  readonly signal: AbortSignal;
}

export const JSON_FLAG: Flags = { json: { type: 'boolean', help: 'JSON for machines' } };

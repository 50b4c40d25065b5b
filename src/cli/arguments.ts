import { parseArgs } from 'node:util';
import { didYouMean } from './did-you-mean.js';
import { UsageError } from './exit-codes.js';

export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: boolean;
  /** What the value is called in the help: `URL`. */
  readonly value?: string;
  readonly help: string;
}

export type Flags = Readonly<Record<string, Flag>>;
export type FlagValues = Readonly<Record<string, string | true | readonly string[] | undefined>>;

export interface ParsedArguments {
  readonly flags: FlagValues;
  readonly positionals: readonly string[];
}

/** @throws {@link UsageError} naming the first argument that is wrong, with a suggestion. */
export function parseArguments(args: readonly string[], known: Flags): ParsedArguments {
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags: Record<string, string | true | string[]> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    const flag = Object.hasOwn(known, name) ? known[name] : undefined;
    if (flag === undefined) {
      const names = Object.keys(known);
      throw new UsageError(`unknown option ${rawName}${didYouMean(name, names, (found) => `--${found}`)}`);
    }
    if (flag.type === 'boolean') {
      if (value !== undefined) throw new UsageError(`--${name} takes no value`);
      flags[name] = true;
      continue;
    }
    const looksLikeFlag = inlineValue === false && value?.startsWith('-');
    if (value === undefined || value === '' || looksLikeFlag)
      throw new UsageError(`--${name} needs a value: --${name} ${flag.value ?? 'VALUE'}`);
    const before = flags[name];
    if (flag.multiple) flags[name] = Array.isArray(before) ? [...before, value] : [value];
    else if (before !== undefined) throw new UsageError(`--${name} was given twice`);
    else flags[name] = value;
  }
  return { flags, positionals };
}

/** Digits of a writer's number: the largest is a whole number also in Lua. */
export const MAX_DIGITS = 15;
const MAX_NUMBER = 10 ** MAX_DIGITS - 1;
/** `prefix-17`, in Lua `^(.*%-)([1-9]%d*)$`: see `scripts.ts`. */
const WRITERS = new RegExp(`^(.*-)([1-9]\\d{0,${MAX_DIGITS - 1}})$`);

export function isWriters(id: string): boolean {
  return WRITERS.test(id);
}

/** A writer's numbers without a gap. */
export interface WriterRun {
  readonly prefix: string;
  readonly first: number;
  /** How many. */
  readonly length: number;
}

/** The ids of the events, if they are that. */
export function runOf(events: readonly { readonly id: string }[]): WriterRun | undefined {
  const match = WRITERS.exec(events[0]?.id ?? '');
  if (match === null) return undefined;
  const [, prefix = '', digits] = match;
  const first = Number(digits);
  if (first + events.length - 1 > MAX_NUMBER) return undefined;
  for (let i = 1; i < events.length; i += 1) if (events[i]?.id !== `${prefix}${first + i}`) return undefined;
  return { prefix, first, length: events.length };
}

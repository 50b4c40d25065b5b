import { types } from 'node:util';
import * as z from 'zod/mini';
import { EventSessionsError, type InputIssue, isEventSessionsError } from './errors.js';
import { beginning, harmless } from './harmless.js';
import { withoutPassword } from './without-password.js';

/**
 * The input, as the schema returns it.
 *
 * @throws `INVALID_INPUT` with an issue for each mistake, up to 100: where it is, what was expected, what came.
 */
export function validate<T>(schema: z.ZodMiniType<T>, input: unknown, subject: string): T {
  const result = reading(subject, () => schema.safeParse(input, { error: ownWords }));
  if (result.success) return result.data;
  const { issues, list } = reading(subject, () =>
    issuesOf(result.error.issues, (issue) => explain(issue, input)),
  );
  throw new EventSessionsError('INVALID_INPUT', `${subject}: ${list}`, { issues });
}

/**
 * The result of `read`, which reads an input.
 *
 * @throws `INVALID_INPUT` if reading it throws, by a getter or a proxy.
 */
export function reading<T>(subject: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isEventSessionsError(error)) throw error;
    const issues = [{ path: '', message: 'threw while it was read' }];
    throw new EventSessionsError('INVALID_INPUT', `${subject}: threw while it was read`, { issues }, error);
  }
}

/** A copy of an input. A spread alone leaves out what the input has by its class, as a getter: that is asked for by name. */
export function copyOf<T extends object>(input: T, { shape }: { readonly shape: object }): T {
  const copy = { ...input };
  for (const key of Object.keys(shape)) {
    const name = key as keyof T;
    if (!(name in copy) && input[name] !== undefined) copy[name] = input[name];
  }
  return copy;
}

/**
 * For mistakes that no schema has a message for. Set for each call, because the global settings of zod are shared with
 * the application's own zod.
 */
const ownWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_type') return issue.expected;
  if (issue.code !== 'unrecognized_keys') return 'something else';
  const { shape } = issue.inst as z.core.$ZodType as z.ZodMiniObject;
  return `options: ${Object.keys(shape).join(', ')}`;
};

/** An input may have as many mistakes as it has members. */
const MAX_ISSUES = 100;

/** Names of members are part of a path, and a schema may tell them, or more, in its message. */
const MAX_PATH = 200;
const MAX_MESSAGE = 500;

/** The first {@link MAX_ISSUES} issues, each short and on one line, and the same as one line of text. */
export function issuesOf<M>(
  mistakes: Iterable<M>,
  explain: (mistake: M) => readonly InputIssue[],
): { readonly issues: readonly InputIssue[]; readonly list: string } {
  const found: InputIssue[] = [];
  for (const mistake of mistakes) {
    for (const { path, message } of explain(mistake))
      found.push({
        path: harmless(beginning(path, MAX_PATH)),
        message: harmless(beginning(message, MAX_MESSAGE)),
      });
    if (found.length > MAX_ISSUES) break;
  }
  const issues = found.slice(0, MAX_ISSUES);
  const texts = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  if (found.length > MAX_ISSUES) texts.push('…');
  return { issues, list: texts.join('; ') };
}

function explain(issue: z.core.$ZodIssue, input: unknown): InputIssue[] {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_ISSUES + 1).map((key, i) => ({
      path: path === '' ? key : `${path}.${key}`,
      message: i === 0 ? `is not an option (${issue.message})` : 'is not an option',
    }));
  }
  if (issue.code === 'invalid_key') {
    const expected = issue.issues[0]?.message;
    return [{ path, message: `expected ${expected}, got ${describe(issue.path.at(-1))}` }];
  }
  let value = input;
  for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return [{ path, message: `expected ${issue.message}, got ${describe(value)}` }];
}

/** A value as messages show it: short, on one line. Never throws. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (types.isProxy(value)) return 'a Proxy';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return shown(value, 60);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'undefined')
    return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** The beginning of a text from outside, quoted, on one line, without a password. */
export function shown(text: string, maxLength: number): string {
  return harmless(JSON.stringify(beginning(withoutPassword(text), maxLength)));
}

/** A whole number within bounds, both of which are allowed. */
export const wholeNumber = (min: number, max: number = Number.MAX_SAFE_INTEGER, unit?: string) => {
  const number = unit === undefined ? 'a whole number' : `a whole number of ${unit}`;
  const error =
    max === Number.MAX_SAFE_INTEGER ? `${number} of at least ${min}` : `${number} from ${min} to ${max}`;
  return z.int({ error }).check(z.gte(min, { error }), z.lte(max, { error }));
};

/** The longest delay of `setTimeout`, some 24 days. It treats a longer one as 1 ms. */
export const MAX_TIMER_MS = 2_147_483_647;

/** Milliseconds of a timer. */
export const timerMs = (min = 1) => wholeNumber(min, MAX_TIMER_MS, 'milliseconds');

/** Milliseconds that only the store counts. The upper bound (100 years) keeps sums exact. */
export const durationMs = (min = 1) => wholeNumber(min, 3_155_760_000_000, 'milliseconds');

const MAX_ID_LENGTH = 128;
const ID = new RegExp(`^[A-Za-z0-9_-]{1,${MAX_ID_LENGTH}}$`);

export function isId(text: string): boolean {
  return ID.test(text);
}

/** For each byte, whether an id may contain it. Made at first use. */
let isOfId: readonly boolean[] | undefined;

/** Whether these bytes are an id. */
export function isIdIn(bytes: Uint8Array, start: number, end: number): boolean {
  isOfId ??= Array.from({ length: 256 }, (_, code) => isId(String.fromCharCode(code)));
  for (let i = start; i < end; i += 1) if (isOfId[bytes[i] as number] !== true) return false;
  return start < end && end - start <= MAX_ID_LENGTH;
}

/** The session id in an input that was not validated yet, if it is one. Never throws. */
export function sessionIdOf(input: unknown): string | undefined {
  try {
    const { sessionId } = input as { sessionId?: unknown };
    return typeof sessionId === 'string' && isId(sessionId) ? sessionId : undefined;
  } catch {
    return undefined;
  }
}

export const idSchema = z
  .string({ error: 'an id of 1 to 128 characters A-Z a-z 0-9 _ -' })
  .check(z.regex(ID, { error: 'an id of 1 to 128 characters A-Z a-z 0-9 _ -' }));

/** Text that a CloudEvents attribute may have. Control characters would break log lines and headers as well. */
export const plainText = (maxLength: number) => {
  const error = `text of 1 to ${maxLength} characters without control characters or lone surrogates`;
  return z
    .string({ error })
    .check(
      z.minLength(1, { error }),
      z.maxLength(maxLength, { error }),
      z.regex(/^[^\p{Cc}\p{Cs}]*$/u, { error }),
    );
};

/**
 * An object whose keys are names of something. `__proto__` is refused: zod would silently drop it. More than `maxNames`
 * are refused before zod looks at each, which takes it microseconds.
 */
export const named = <T>(
  what: string,
  name: z.ZodMiniType<string, string>,
  value: z.ZodMiniType<T, T>,
  maxNames = Number.POSITIVE_INFINITY,
) =>
  z.pipe(
    z.custom<Record<string, T>>(
      (input) =>
        typeof input !== 'object' ||
        input === null ||
        (!Object.hasOwn(input, '__proto__') && Object.keys(input).length <= maxNames),
      { error: `${what}, none of them __proto__` },
    ),
    z.record(name, value, { error: what }) as z.ZodMiniType<Record<string, T>, Record<string, T>>,
  );

/** An object with these methods; it is returned as it is. */
export const withMethods = <T>(what: string, ...methods: readonly (keyof T & string)[]) =>
  z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    { error: `${what} (an object with the methods ${methods.join(', ')})` },
  );

export const functionOf = <T>(what: string) =>
  z.custom<T>((value) => typeof value === 'function', { error: what });

import { EventSessionsError, type EventSessionsErrorCode } from './errors.js';
import { describe } from './validate.js';

export interface JsonLimits {
  /** Levels of nesting; a bare value is level 1. */
  readonly maxDepth: number;
  /** A bound on the bytes of the text. More values than bytes can't fit, so it bounds the walk as well. */
  readonly maxBytes: number;
  /** What the value is called in messages, and the code for what is wrong with it. Default: `data`, `INVALID_EVENT`. */
  readonly subject?: string;
  readonly code?: EventSessionsErrorCode;
}

/**
 * The value as JSON text, if nothing of it is lost on the way.
 *
 * `JSON.stringify` alone would turn NaN into null, a Map into {} and leave functions out, overflow the stack at
 * about 4,000 levels, and expand shared references without end. Undefined members of objects are left out, and
 * `toJSON` is honoured, as everywhere.
 *
 * @throws `INVALID_EVENT` naming the path of what JSON can't hold, `EVENT_TOO_LARGE` when it has too many values.
 */
export function toJsonText(value: unknown, limits: JsonLimits): string {
  const { subject = 'data', code = 'INVALID_EVENT' } = limits;
  const walk = { ...limits, left: limits.maxBytes, ancestors: [] };
  let text: string | undefined;
  try {
    visit(value, '', walk);
    text = JSON.stringify(value);
  } catch (error) {
    if (error instanceof TooManyValues) {
      const message = `${subject}: more than ${limits.maxBytes} values`;
      throw new EventSessionsError(code === 'INVALID_EVENT' ? 'EVENT_TOO_LARGE' : code, message, {
        limit: limits.maxBytes,
      });
    }
    const found = error instanceof NotJson ? error : new NotJson('', 'cannot be turned into JSON', error);
    const path = `${subject}${found.path.length > 200 ? `${found.path.slice(0, 200)}…` : found.path}`;
    const issues = [{ path, message: found.message }];
    throw new EventSessionsError(code, `${path}: ${found.message}`, { issues }, found.cause);
  }
  return text;
}

class TooManyValues extends Error {}

class NotJson extends Error {
  constructor(
    readonly path: string,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

interface Walk {
  readonly maxDepth: number;
  left: number;
  readonly ancestors: object[];
}

function visit(input: unknown, path: string, walk: Walk): void {
  walk.left -= 1;
  if (walk.left < 0) throw new TooManyValues();
  let value = input;
  if (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { toJSON?: unknown }).toJSON === 'function'
  ) {
    if (value instanceof Date && Number.isNaN(value.getTime()))
      throw new NotJson(path, 'an invalid date is not JSON');
    value = (value as { toJSON(key: string): unknown }).toJSON('');
  }
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw new NotJson(path, `${value} is not JSON`);
      return;
    case 'object':
      if (value !== null) visitMembers(value, path, walk);
      return;
    default:
      throw new NotJson(path, `${describe(value)} is not JSON`);
  }
}

function visitMembers(value: object, path: string, walk: Walk): void {
  if (walk.ancestors.length >= walk.maxDepth)
    throw new NotJson(path, `nested deeper than ${walk.maxDepth} levels`);
  if (walk.ancestors.includes(value)) throw new NotJson(path, 'a cycle is not JSON');
  walk.ancestors.push(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) visit(value[i], `${path}[${i}]`, walk);
  } else if (
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Promise ||
    ArrayBuffer.isView(value)
  ) {
    throw new NotJson(path, `a ${value.constructor.name} is not JSON`);
  } else {
    for (const key of Object.keys(value)) {
      if (key === '__proto__') throw new NotJson(path, 'a key named __proto__ is not allowed');
      const member = (value as Record<string, unknown>)[key];
      if (member !== undefined) visit(member, `${path}.${key}`, walk);
    }
  }
  walk.ancestors.pop();
}

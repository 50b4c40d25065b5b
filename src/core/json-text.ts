import { types } from 'node:util';
import { EventSessionsError, type EventSessionsErrorCode, type EventSessionsErrorFacts } from './errors.js';
import { beginning, harmless } from './harmless.js';
import { plainJson } from './plain-json.js';
import { describe } from './validate.js';

export interface JsonLimits {
  /** Levels of nesting of objects and arrays. */
  readonly maxDepth: number;
  /** Texts of more characters than this are refused; the caller still has to count the bytes. */
  readonly maxBytes: number;
  /** What the value is called in messages, and the code for what is wrong with it. Default: `data`, `INVALID_EVENT`. */
  readonly subject?: string;
  readonly code?: EventSessionsErrorCode;
  /** Facts to add to the error. */
  readonly facts?: EventSessionsErrorFacts;
}

/**
 * The value as JSON text, if nothing of it is lost on the way.
 *
 * Plain values are written by {@link plainJson}. The rest goes through `JSON.stringify`. By itself that would turn NaN
 * into null and a Map into {}, leave functions out, overflow the stack at about 4,000 levels, and expand shared
 * references without end. So a replacer watches it write, in one pass that calls each getter and each `toJSON` once:
 * what was checked is what is written. Undefined members of objects are left out and `toJSON` is honoured, as usual.
 * Instances of classes are written by their members, unless they have a `Symbol.toStringTag` other than Object, as a
 * Promise or a URLSearchParams has.
 *
 * @throws `INVALID_EVENT` naming the path of what JSON cannot represent, `EVENT_TOO_LARGE`; or the given `code` for
 * both.
 */
export function toJsonText(value: unknown, limits: JsonLimits): string {
  const { subject = 'data', code = 'INVALID_EVENT', facts } = limits;
  const plain = plainJson(value, limits.maxDepth, limits.maxBytes);
  if (plain !== undefined) return plain;
  const place: Place = { holders: [], keys: [] };
  try {
    return JSON.stringify(value, watch(place, limits));
  } catch (error) {
    if (error instanceof TooLarge) {
      const message = `${subject}: more than ${limits.maxBytes} bytes of JSON`;
      throw new EventSessionsError(code === 'INVALID_EVENT' ? 'EVENT_TOO_LARGE' : code, message, {
        ...facts,
        limit: limits.maxBytes,
      });
    }
    const found = error instanceof NotJson;
    const path = found ? `${subject}${pathOf(place)}` : subject;
    const message = found ? error.message : 'cannot be turned into JSON';
    const issues = [{ path, message }];
    throw new EventSessionsError(
      code,
      `${path}: ${message}`,
      { ...facts, issues },
      found ? undefined : error,
    );
  }
}

class TooLarge extends Error {}
class NotJson extends Error {}

/** Where in the value `JSON.stringify` is: the enclosing objects, and the current key in each. */
interface Place {
  readonly holders: object[];
  readonly keys: string[];
}

/**
 * A replacer that replaces nothing: it is called with each value before it is written, and throws for what must not be.
 */
function watch({ holders, keys }: Place, { maxDepth, maxBytes }: JsonLimits) {
  let left = maxBytes;

  return function check(this: object, key: string, value: unknown): unknown {
    let depth = holders.length;
    while (depth > 0 && holders[depth - 1] !== this) {
      holders.pop();
      depth -= 1;
    }
    if (depth > 0) keys[depth - 1] = key;
    const inArray = Array.isArray(this);
    if (value === undefined && !inArray && depth > 0) return undefined;
    left -= inArray ? 1 : 1 + key.length;
    switch (typeof value) {
      case 'string':
        left -= value.length;
        break;
      case 'number':
        if (!Number.isFinite(value)) throw new NotJson(`${value} is not JSON`);
        break;
      case 'boolean':
        break;
      case 'object':
        if (value === null) {
          // An invalid date has already been asked for its toJSON, which answered null.
          if (types.isDate((this as Record<string, unknown>)[key]))
            throw new NotJson('an invalid date is not JSON');
          break;
        }
        if (depth >= maxDepth) throw new NotJson(`nested deeper than ${maxDepth} levels`);
        if (holders.includes(value)) throw new NotJson('a cycle is not JSON');
        if (!Array.isArray(value)) checkMembers(value);
        holders.push(value);
        break;
      default:
        throw new NotJson(`${describe(value)} is not JSON`);
    }
    if (left < 0) throw new TooLarge();
    return value;
  };
}

function checkMembers(value: object): void {
  if (Object.hasOwn(value, '__proto__')) throw new NotJson('a key named __proto__ is not allowed');
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return;
  const [, name = ''] = /^\[object (.*)\]$/.exec(Object.prototype.toString.call(value)) ?? [];
  if (name === 'Object') return;
  const kind = harmless(beginning(name, 60));
  throw new NotJson(`${/^[AEIO]/.test(kind) ? 'an' : 'a'} ${kind} is not JSON`);
}

function pathOf({ holders, keys }: Place): string {
  const path = holders.map((holder, i) => (Array.isArray(holder) ? `[${keys[i]}]` : `.${keys[i]}`)).join('');
  return harmless(beginning(path, 200));
}

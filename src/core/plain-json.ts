/**
 * JSON text of what is nothing but plain: objects of `Object.prototype` or of none, arrays without holes, texts, finite
 * numbers, booleans and null. For such values it is the text that `JSON.stringify` makes, at a fraction of what it
 * costs to watch `JSON.stringify` at work.
 *
 * Each member is read once, so that what was looked at is what is written. Undefined for everything else: for what
 * JSON can't hold, for what decides itself how it is written (`toJSON`), for more than `maxDepth` levels, a cycle among
 * them, for more than `maxLength` characters, and when a getter or a proxy throws. Whoever asked then has to look closer.
 */
export function plainJson(value: unknown, maxDepth: number, maxLength: number): string | undefined {
  const room = { left: maxLength };
  try {
    const text = write(value, maxDepth, room);
    return room.left < 0 ? undefined : text;
  } catch {
    return undefined;
  }
}

interface Room {
  left: number;
}

function write(value: unknown, levels: number, room: Room): string | undefined {
  switch (typeof value) {
    case 'string':
      room.left -= value.length;
      return quoted(value);
    case 'number':
      room.left -= 1;
      return Number.isFinite(value) ? `${value}` : undefined;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (levels === 0) return undefined;
      return Array.isArray(value)
        ? writeArray(value, levels - 1, room)
        : writeObject(value, levels - 1, room);
    default:
      return undefined;
  }
}

function writeArray(values: readonly unknown[], levels: number, room: Room): string | undefined {
  if (Object.getPrototypeOf(values) !== Array.prototype || 'toJSON' in values) return undefined;
  let text = '[';
  for (let i = 0; i < values.length; i += 1) {
    room.left -= 1;
    if (room.left < 0) return undefined;
    const element = write(values[i], levels, room);
    if (element === undefined) return undefined;
    text += i === 0 ? element : `,${element}`;
  }
  return `${text}]`;
}

function writeObject(value: object, levels: number, room: Room): string | undefined {
  const prototype = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value) return undefined;
  let text = '{';
  for (const key of Object.keys(value)) {
    if (key === '__proto__') return undefined;
    const member = (value as Readonly<Record<string, unknown>>)[key];
    if (member === undefined) continue;
    room.left -= 1 + key.length;
    if (room.left < 0) return undefined;
    const json = write(member, levels, room);
    if (json === undefined) return undefined;
    const name = nameOf(key);
    text += text === '{' ? name.first : name.next;
    text += json;
  }
  return `${text}}`;
}

/** A key as it stands before its value: as the first of an object, or behind another member. */
interface Name {
  readonly first: string;
  readonly next: string;
}

/** The same keys come again and again. Bounded. */
const names = new Map<string, Name>();
const MAX_NAMES = 1_000;

function nameOf(key: string): Name {
  const known = names.get(key);
  if (known !== undefined) return known;
  const first = `${quoted(key)}:`;
  const name = { first, next: `,${first}` };
  if (key.length > SHORT) return name;
  if (names.size >= MAX_NAMES) names.clear();
  names.set(key, name);
  return name;
}

// What JSON has to escape, and all surrogates: a lone one is escaped, and telling it is left to `JSON.stringify`.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to be escaped
const TO_BE_ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/;
/** Above this, `JSON.stringify` is faster than to look and then copy. */
const SHORT = 64;

/** `JSON.stringify` of a text. */
export function quoted(text: string): string {
  return text.length <= SHORT && !TO_BE_ESCAPED.test(text) ? `"${text}"` : JSON.stringify(text);
}

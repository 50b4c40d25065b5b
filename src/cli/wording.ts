import { shown } from '../core/validate.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1024 is one of the next unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${UNITS[unit]}`;
}

/** Bytes from `1048576`, `512KiB` or `1GiB`; undefined if it is none of them. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+)\s*(B|KiB|MiB|GiB|TiB)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = UNITS.findIndex((unit) => unit.toLowerCase() === (match[2] ?? 'B').toLowerCase());
  const bytes = Number(match[1]) * 1024 ** power;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** A span of milliseconds in its largest unit. */
export function spanText(ms: number): string {
  const [unit, length] = SPANS.find(([, span]) => ms >= span) ?? ['ms', 1];
  const value = ms / length;
  const digits = unit === 's' && value < 10 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${unit}`;
}

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** Milliseconds from `500ms`, `30s`, `10m` or `2h`; undefined if it is none of them. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)$/.exec(text);
  const ms = Number(match?.[1]) * (DURATIONS[match?.[2] ?? ''] ?? Number.NaN);
  return ms >= 1 && ms <= 2_147_483_647 ? Math.round(ms) : undefined;
}

/** `ago` of something that may lie in the future by a clock that differs. */
export function agoText(at: number, now: number): string {
  return now - at < 1_000 ? 'just now' : `${spanText(now - at)} ago`;
}

export function timeText(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? `${at}` : date.toISOString().replace('T', ' ').replace('Z', '');
}

export function numberText(value: number): string {
  return value.toLocaleString('en-US');
}

export function countText(count: number, one: string, many = `${one}s`): string {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}

/** A value that somebody gave, short and on one line. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return shown(value, 80);
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

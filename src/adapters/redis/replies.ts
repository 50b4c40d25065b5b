import { EventSessionsError } from '../../core/errors.js';
import { describe } from '../../core/validate.js';

/**
 * What a script has answered, taken for what it should be. Whoever answers something else is not the Redis that ran the
 * script: a proxy that mixes replies up, another server. So it is a fault of the store, and what became of the command
 * is unknown.
 */
export function unexpected(expected: string, reply: unknown): EventSessionsError {
  const message = `Redis: expected ${expected}, got ${describe(reply)}`;
  return new EventSessionsError('STORE_UNAVAILABLE', message, { outcome: 'unknown' });
}

export function list(reply: unknown, expected: string, minLength = 0): readonly unknown[] {
  if (!Array.isArray(reply) || reply.length < minLength) throw unexpected(expected, reply);
  return reply;
}

/** An array that begins with an outcome. */
export function answer(reply: unknown): readonly unknown[] {
  return list(reply, 'an array that begins with an outcome', 1);
}

export function text(reply: unknown, expected: string): string {
  if (typeof reply !== 'string') throw unexpected(expected, reply);
  return reply;
}

/** Clients differ in whether an integer comes as a number or as text. */
export function whole(reply: unknown, expected: string): number {
  const number = typeof reply === 'string' && /^\d{1,16}$/.test(reply) ? Number(reply) : reply;
  if (!Number.isSafeInteger(number) || (number as number) < 0) {
    throw unexpected(`${expected}, a whole number`, reply);
  }
  return number as number;
}

export function oneOf<T extends string>(known: readonly T[], reply: unknown, expected: string): T {
  for (const value of known) if (value === reply) return value;
  throw unexpected(`${expected} (${known.join(', ')})`, reply);
}

/** JSON text of an object, parsed. */
export function object(reply: unknown, expected: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text(reply, expected));
  } catch {
    throw unexpected(expected, reply);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw unexpected(expected, reply);
  }
  return parsed as Record<string, unknown>;
}

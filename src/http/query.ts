import { HttpProblem } from './problem.js';

export const MAX_CURSOR = 512;

/** The parameters of a page. A name that the route does not know, or one that comes twice, is a mistake. */
export function pageOf(query: URLSearchParams, known: readonly string[]): Record<string, string | undefined> {
  const page: Record<string, string | undefined> = {};
  for (const [name, value] of query) {
    if (!known.includes(name))
      throw new HttpProblem('INVALID_INPUT', `The query may have: ${known.join(', ')}`);
    if (page[name] !== undefined)
      throw new HttpProblem('INVALID_INPUT', `${name} may come once in the query`);
    page[name] = value;
  }
  return page;
}

export function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/** A cursor is opaque to callers, so that what it is made of may change. */
export function toCursor(value: string | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString('base64url');
}

export function fromCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const value = cursor.length > MAX_CURSOR ? '' : Buffer.from(cursor, 'base64url').toString();
  if (value === '' || toCursor(value) !== cursor)
    throw new HttpProblem('INVALID_INPUT', 'cursor must be the `next` of an earlier page');
  return value;
}

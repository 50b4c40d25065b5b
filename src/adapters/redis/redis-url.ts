/** What is expected where {@link isRedisUrl} says no. */
export const REDIS_URL = 'a redis:// or rediss:// URL, as redis://[user:password@]host[:port][/db]';

/** What may stand in the query, as `key=value`. */
const IN_QUERY = /^(db=\d{1,9}|family=[046]|(username|password)=.*)$/s;

/**
 * ioredis would throw at one that can't be parsed, when it connects; take database 0 for one that is no number; and take
 * whatever stands in the query for options that come before ours.
 */
export function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text)) return false;
  try {
    const { username, password, pathname, searchParams, hash } = new URL(text);
    decodeURIComponent(username + password);
    return (
      /^(\/(\d{1,9})?)?$/.test(pathname) &&
      [...searchParams].every(([key, value]) => IN_QUERY.test(`${key}=${value}`)) &&
      hash === ''
    );
  } catch {
    return false;
  }
}

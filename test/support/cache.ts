import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where what tests build or download is kept: `$EVENT_SESSIONS_CACHE`, or `event-sessions` in the user's cache folder. */
export function cacheRoot(): string {
  const { EVENT_SESSIONS_CACHE, XDG_CACHE_HOME } = process.env;
  return EVENT_SESSIONS_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'event-sessions');
}

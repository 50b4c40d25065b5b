import { createHash } from 'node:crypto';

/**
 * Every state change of a session is one of these scripts: on Redis a script is the only thing that is all or
 * nothing, and a refusal for lack of memory refuses it whole.
 *
 * KEYS: 1 the session's hash, 2 its list of events, 3 the set of those event ids that no range of a writer has. Replies
 * are arrays of strings that begin with the outcome.
 *
 * An element of the list holds the events that one append put into it, a few KiB of them: `17 topic json`, where 17 is the
 * position of the first, and a line `topic json` for each that follows. So what Redis does for an element (it is copied into
 * a Lua string and out of it, and allocated each time) it does once for many events. `elements` in the hash says how many
 * there are. The list is append-only and decides the order. `expiresAt` in the hash is
 * when an open session runs out; the keys themselves live longer (`keepUntil`), so that the session can be found
 * expired, and what an outage has held back can still be brought in. An add renews that when half of the time is used
 * up, so as not to touch three TTLs each time. A session that was found overdue may be ended from `graceUntil` on,
 * as long as `expiresAt` is still `graceOf`.
 *
 * A script that fails is not undone. So what may fail (a key of another type, by tampering) comes before all that is
 * written, and the list before what says that it has grown.
 *
 * The scripts keep to what Redis 6.2 and ioredis-mock both understand: numbers are formatted explicitly (a Lua 5.3
 * float prints as `1.0`), a missing field of HMGET is told by its type, and a table that is answered is never one
 * that has grown.
 */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export const NOW = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000.0 + math.floor(tonumber(time[2]) / 1000)
`;

const PRELUDE = `${NOW}
local function int(n) return string.format('%.0f', n) end
local function fields(...) return redis.call('HMGET', KEYS[1], ...) end
local function exists(value) return type(value) == 'string' end
local function effective(status, expiresAt, asOf)
  if status == 'open' and tonumber(expiresAt) <= math.min(tonumber(asOf) or now, now) then return 'expired' end
  return status
end
local function note(status, cause, droppable)
  local history = redis.call('HGET', KEYS[1], 'history') or ''
  if droppable and #history > 16384 then return end
  redis.call('HSET', KEYS[1], 'history', history .. '{"status":"' .. status .. '","at":' .. int(now) .. ',' .. cause .. '\\n')
end
local function keep(ms) for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], int(ms)) end end
local function finish(status, retention, cause)
  redis.call('HSET', KEYS[1], 'status', status, 'expiresAt', int(now + tonumber(retention)))
  note(status, cause, false)
  keep(tonumber(retention))
end
`;

export function script(body: string): Script {
  return bareScript(PRELUDE + body);
}

export function bareScript(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Milliseconds that the keys of an open session outlive its expiry, to be found by a sweep or a replay: 24 hours, at least 12. */
export const OVERDUE_MS = 86_400_000;
/** Half of that time: then it is renewed. */
export const MIN_OVERDUE_MS = OVERDUE_MS / 2;

import { createHash } from 'node:crypto';

/**
 * Every state change of a session is one of these scripts: on Redis a script is the only thing that is all or
 * nothing, and a refusal for lack of memory refuses it whole.
 *
 * KEYS: 1 the session's hash, 2 its list of events, 3 the set of its event ids. Replies are arrays of strings that
 * begin with the outcome.
 *
 * An element of the list is `topic json`. Ids are compared through the set; the list is append-only and decides the
 * order. `expiresAt` in the hash is when an open session runs out; the keys themselves live a grace period longer
 * (`keepUntil`), so that the session can be found expired, and so that adds need not touch three TTLs each time.
 *
 * The scripts keep to what Redis 6.2 and ioredis-mock both understand: numbers are formatted explicitly (a Lua 5.3
 * float prints as `1.0`), a missing field of HMGET is told by its type, and a table that is answered is never one
 * that has grown.
 */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const PRELUDE = `
local function int(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000.0 + math.floor(tonumber(time[2]) / 1000)
local function fields(...) return redis.call('HMGET', KEYS[1], ...) end
local function exists(value) return type(value) == 'string' end
local function effective(status, expiresAt)
  if status == 'open' and tonumber(expiresAt) <= now then return 'expired' end
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

function script(body: string): Script {
  const lua = PRELUDE + body;
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Milliseconds that the keys of an open session outlive its expiry, to be found by a sweep: 24 hours. */
export const GRACE_MS = 86_400_000;

/** ARGV: metadata, ttl, cause. */
export const START = script(`
local f = fields('status', 'expiresAt')
if exists(f[1]) then return {'exists', effective(f[1], f[2])} end
local ttl = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'status', 'open', 'metadata', ARGV[1], 'ttl', ARGV[2], 'createdAt', int(now),
  'expiresAt', int(now + ttl), 'keepUntil', int(now + ttl + ${GRACE_MS}), 'events', '0', 'bytes', '0', 'largest', '0',
  'cursor', '0', 'deferred', '0', 'epoch', '0', 'attempt', '', 'lease', '0', 'receipt', '', 'history', '')
redis.call('PEXPIRE', KEYS[1], int(ttl + ${GRACE_MS}))
note('open', ARGV[3], false)
return {'created'}
`);

/**
 * ARGV: max events, max bytes, bytes of all given envelopes, n, then n different ids, then n elements.
 * Answers `appended`, the count, and the positions (from 0, with commas) of those that were there already.
 */
export const APPEND = script(`
local f = fields('status', 'expiresAt', 'ttl', 'events', 'bytes', 'keepUntil', 'largest')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2])
if status ~= 'open' then return {'not_open', status} end
local maxEvents, maxBytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local given, n, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(f[3])
local events, bytes, largest = tonumber(f[4]), tonumber(f[5]), tonumber(f[7])
local duplicates = ''

local function measure(element)
  local size = #element - string.find(element, ' ', 1, true)
  if size > largest then largest = size end
  return size
end

if n == 1 and events < maxEvents and bytes + given <= maxBytes then
  if redis.call('SADD', KEYS[3], ARGV[5]) == 1 then
    redis.call('RPUSH', KEYS[2], ARGV[6])
    events, bytes = events + 1, bytes + measure(ARGV[6])
  else
    duplicates = '0'
  end
else
  local ids, elements, added = {}, {}, 0
  for from = 1, n, 4000 do
    local to = math.min(from + 3999, n)
    local known = redis.call('SMISMEMBER', KEYS[3], unpack(ARGV, 4 + from, 4 + to))
    for i = from, to do
      if tonumber(known[i - from + 1]) == 1 then
        duplicates = duplicates .. (duplicates == '' and '' or ',') .. int(i - 1)
      else
        ids[#ids + 1] = ARGV[4 + i]
        elements[#elements + 1] = ARGV[4 + n + i]
        added = added + measure(ARGV[4 + n + i])
      end
    end
  end
  if #ids > 0 then
    if events + #ids > maxEvents then return {'limit_exceeded', 'events'} end
    if bytes + added > maxBytes then return {'limit_exceeded', 'bytes'} end
  end
  for from = 1, #ids, 4000 do
    local to = math.min(from + 3999, #ids)
    redis.call('SADD', KEYS[3], unpack(ids, from, to))
    redis.call('RPUSH', KEYS[2], unpack(elements, from, to))
  end
  events, bytes = events + #ids, bytes + added
end

local expiresAt, keepUntil = now + ttl, tonumber(f[6])
if tonumber(f[4]) == 0 or expiresAt > keepUntil then
  keepUntil = expiresAt + ${GRACE_MS}
  keep(ttl + ${GRACE_MS})
end
redis.call('HSET', KEYS[1], 'events', int(events), 'bytes', int(bytes), 'largest', int(largest),
  'expiresAt', int(expiresAt), 'keepUntil', int(keepUntil))
return {'appended', int(events), duplicates}
`);

/** ARGV: ttl, or '' for the session's own. Answers the expiry and the ttl. */
export const EXTEND = script(`
local f = fields('status', 'expiresAt', 'ttl')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2])
if status ~= 'open' then return {'not_open', status} end
local ttl = tonumber(ARGV[1] == '' and f[3] or ARGV[1])
redis.call('HSET', KEYS[1], 'expiresAt', int(now + ttl), 'keepUntil', int(now + ttl + ${GRACE_MS}))
keep(ttl + ${GRACE_MS})
return {'extended', int(now + ttl), int(ttl)}
`);

/** ARGV: attempt id, lease, expected events or '', cause. */
export const BEGIN_COMMIT = script(`
local f = fields('status', 'expiresAt', 'events', 'cursor', 'deferred', 'epoch', 'attempt', 'lease')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2])
if status == 'committed' then return {'committed', redis.call('HGET', KEYS[1], 'receipt')} end
if status ~= 'open' and status ~= 'committing' then return {'not_open', status} end
local same = status == 'committing' and f[7] == ARGV[1]
if status == 'open' then
  if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= tonumber(f[3]) then return {'mismatch', f[3]} end
elseif not same and tonumber(f[8]) > now then
  return {'in_progress', int(tonumber(f[8]) - now)}
end
local events = tonumber(f[3])
local listed, known = redis.call('LLEN', KEYS[2]), redis.call('SCARD', KEYS[3])
if listed ~= events then return {'corrupt', f[3], int(listed)} end
if known ~= events then return {'corrupt', f[3], int(known)} end
local epoch, lease = tonumber(f[6]), int(now + tonumber(ARGV[2]))
if same then
  redis.call('HSET', KEYS[1], 'lease', lease)
else
  epoch = epoch + 1
  redis.call('HSET', KEYS[1], 'status', 'committing', 'epoch', int(epoch), 'attempt', ARGV[1], 'lease', lease)
  note('committing', ARGV[4], epoch > 1)
  for i = 1, 3 do redis.call('PERSIST', KEYS[i]) end
end
return {'granted', int(epoch), f[4], f[5], f[3]}
`);

/** ARGV: epoch, cursor, deferred, lease. */
export const ADVANCE = script(`
local f = fields('status', 'epoch', 'cursor')
if not exists(f[1]) then return {'not_found'} end
if f[1] ~= 'committing' or f[2] ~= ARGV[1] then return {'stale'} end
local lease = int(now + tonumber(ARGV[4]))
if tonumber(ARGV[2]) > tonumber(f[3]) then
  redis.call('HSET', KEYS[1], 'cursor', ARGV[2], 'deferred', ARGV[3], 'lease', lease)
else
  redis.call('HSET', KEYS[1], 'lease', lease)
end
return {'done'}
`);

/** ARGV: epoch, cursor, deferred, receipt, retention, cause. */
export const FINISH_COMMIT = script(`
local f = fields('status', 'epoch', 'events')
if not exists(f[1]) then return {'not_found'} end
if f[2] ~= ARGV[1] then return {'stale'} end
if f[1] == 'committed' then return {'done'} end
if f[1] ~= 'committing' or f[3] ~= ARGV[2] then return {'stale'} end
redis.call('HSET', KEYS[1], 'cursor', ARGV[2], 'deferred', ARGV[3], 'receipt', ARGV[4])
finish('committed', ARGV[5], ARGV[6])
return {'done'}
`);

/** ARGV: epoch. */
export const RELEASE_COMMIT = script(`
local f = fields('status', 'epoch')
if not exists(f[1]) then return {'not_found'} end
if f[1] ~= 'committing' or f[2] ~= ARGV[1] then return {'stale'} end
redis.call('HSET', KEYS[1], 'lease', '0')
return {'done'}
`);

/** ARGV: retention, cause. */
export const ROLLBACK = script(`
local f = fields('status', 'expiresAt', 'events')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2])
if status == 'rolled_back' then return {'rolled_back', f[3], '1'} end
if status ~= 'open' then return {'not_open', status} end
finish('rolled_back', ARGV[1], ARGV[2])
return {'rolled_back', f[3], '0'}
`);

/** ARGV: retention, cause. */
export const EXPIRE = script(`
local f = fields('status', 'expiresAt', 'events')
if not exists(f[1]) then return {'not_found'} end
if f[1] ~= 'open' or effective(f[1], f[2]) ~= 'expired' then return {'not_due'} end
finish('expired', ARGV[1], ARGV[2])
return {'expired', f[3]}
`);

/** Answers the effective status, then the whole hash. */
export const GET = script(`
local f = fields('status', 'expiresAt')
if not exists(f[1]) then return {'not_found'} end
return {effective(f[1], f[2]), redis.call('HGETALL', KEYS[1])}
`);

/**
 * ARGV: after, limit, max bytes. `largest` bounds what is taken out of the list at once, so that a session of a few
 * huge events does not make the server copy hundreds of megabytes for a page of four.
 */
export const READ = script(`
local after, limit, maxBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local largest = tonumber(redis.call('HGET', KEYS[1], 'largest') or '0')
local step = math.max(1, math.min(limit, math.floor(4 * maxBytes / math.max(1, largest))))
local count, bytes = 0, 0
for from = after, after + limit - 1, step do
  local elements = redis.call('LRANGE', KEYS[2], int(from), int(math.min(from + step, after + limit) - 1))
  for i = 1, #elements do
    bytes = bytes + #elements[i] - string.find(elements[i], ' ', 1, true)
    if count > 0 and bytes > maxBytes then
      return redis.call('LRANGE', KEYS[2], int(after), int(after + count - 1))
    end
    count = count + 1
  end
  if #elements < step or step == limit then
    if from == after then return elements end
    break
  end
end
return redis.call('LRANGE', KEYS[2], int(after), int(after + count - 1))
`);

/** ARGV: event ids. */
export const CONTAINS = script(`return redis.call('SMISMEMBER', KEYS[3], unpack(ARGV))`);

/** The scripts below have one key, the index. ARGV: session id, milliseconds from now. */
/**
 * Sees to it that there is an entry, due then or earlier. One that is overdue becomes due now: somebody may have read
 * its score and be about to correct it.
 */
export const INDEX_PUT = script(`
local due, score = now + tonumber(ARGV[2]), redis.call('ZSCORE', KEYS[1], ARGV[1])
if score then due = math.min(due, math.max(now, tonumber(score))) end
redis.call('ZADD', KEYS[1], int(due), ARGV[1])
return 1
`);

/** ARGV: session id, the score that was read, milliseconds from now or '' to remove it. Not if the score has changed. */
export const INDEX_CORRECT = script(`
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], 'XX', int(now + tonumber(ARGV[3])), ARGV[1])
return 1
`);
export const INDEX_REMOVE = script(`return redis.call('ZREM', KEYS[1], ARGV[1])`);
export const INDEX_COUNT = script(`return redis.call('ZCARD', KEYS[1])`);

/** ARGV: offset, limit. Answers the time, then ids and scores of the entries whose time has come. */
export const INDEX_DUE = script(`
return {int(now), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])}
`);

/** ARGV: lowest score, offset, limit. Answers ids and scores. */
export const INDEX_PAGE = script(`
return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
`);

/** A write that changes nothing: refused when others would be, by a replica, a full memory or a full disk. */
export const PING = script(`return redis.call('ZADD', KEYS[1], 'XX', '0', '')`);

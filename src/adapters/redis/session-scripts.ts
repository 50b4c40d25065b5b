import { bareScript, OVERDUE_MS, script } from './script.js';

/** ARGV: metadata, ttl, cause. Of one that exists, answers the effective status and the one that it has: an overdue session has not ended. */
export const START = script(`
local f = fields('status', 'expiresAt')
if exists(f[1]) then return {'exists', effective(f[1], f[2]), f[1]} end
local ttl = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'status', 'open', 'metadata', ARGV[1], 'ttl', ARGV[2], 'createdAt', int(now),
  'expiresAt', int(now + ttl), 'keepUntil', int(now + ttl + ${OVERDUE_MS}), 'events', '0', 'elements', '0', 'bytes', '0', 'largest', '0',
  'loose', '0',
  'cursor', '0', 'deferred', '0', 'epoch', '0', 'attempt', '', 'lease', '0', 'receipt', '', 'history', '')
redis.call('PEXPIRE', KEYS[1], int(ttl + ${OVERDUE_MS}))
note('open', ARGV[3], false)
return {'created'}
`);

/** ARGV: ttl, or '' for the session's own. Answers the expiry. */
export const EXTEND = script(`
local f = fields('status', 'expiresAt', 'ttl')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2])
if status ~= 'open' then return {'not_open', status} end
local ttl = tonumber(ARGV[1] == '' and f[3] or ARGV[1])
redis.call('HSET', KEYS[1], 'expiresAt', int(now + ttl), 'keepUntil', int(now + ttl + ${OVERDUE_MS}))
keep(ttl + ${OVERDUE_MS})
return {'extended', int(now + ttl)}
`);

/** ARGV: attempt id, lease, expected events or '', cause, as of when or ''. Answers `granted`, epoch, cursor, deferred, events, elements, largest element. */
export const BEGIN_COMMIT = script(`
local f = fields('status', 'expiresAt', 'events', 'cursor', 'deferred', 'epoch', 'attempt', 'lease', 'largest', 'loose', 'elements')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2], ARGV[5])
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
local missing = tonumber(f[11]) - listed
if missing ~= 0 then return {'corrupt', f[3], int(listed == 0 and 0 or math.max(0, events - missing))} end
if known ~= tonumber(f[10]) then return {'corrupt', f[3], int(events - tonumber(f[10]) + known)} end
local epoch, lease = tonumber(f[6]), int(now + tonumber(ARGV[2]))
if same then
  redis.call('HSET', KEYS[1], 'lease', lease)
else
  epoch = epoch + 1
  redis.call('HSET', KEYS[1], 'status', 'committing', 'epoch', int(epoch), 'attempt', ARGV[1], 'lease', lease)
  note('committing', ARGV[4], epoch > 1)
  for i = 1, 3 do redis.call('PERSIST', KEYS[i]) end
end
return {'granted', int(epoch), f[4], f[5], f[3], f[11], f[9]}
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

/** ARGV: retention, cause, as of when or ''. */
export const ROLLBACK = script(`
local f = fields('status', 'expiresAt', 'events')
if not exists(f[1]) then return {'not_found'} end
local status = effective(f[1], f[2], ARGV[3])
if status == 'rolled_back' then return {'rolled_back', f[3], '1'} end
if status ~= 'open' then return {'not_open', status} end
finish('rolled_back', ARGV[1], ARGV[2])
return {'rolled_back', f[3], '0'}
`);

/** ARGV: retention, cause, grace. */
export const EXPIRE = script(`
local f = fields('status', 'expiresAt', 'events', 'graceUntil', 'graceOf')
if not exists(f[1]) then return {'not_found'} end
if f[1] ~= 'open' or effective(f[1], f[2]) ~= 'expired' then return {'not_due'} end
local graceUntil = f[5] == f[2] and tonumber(f[4]) or now + tonumber(ARGV[3])
if f[5] ~= f[2] then redis.call('HSET', KEYS[1], 'graceUntil', int(graceUntil), 'graceOf', f[2]) end
if graceUntil > now then return {'not_due'} end
redis.call('HDEL', KEYS[1], 'graceUntil', 'graceOf')
finish('expired', ARGV[1], ARGV[2])
return {'expired', f[3]}
`);

/** The fields of the hash that {@link GET} answers, in this order. */
export const RECORD_FIELDS = [
  'events',
  'bytes',
  'cursor',
  'deferred',
  'epoch',
  'createdAt',
  'expiresAt',
  'graceUntil',
  'graceOf',
  'lease',
  'metadata',
  'history',
] as const;

/** Answers the effective status, then the fields of the record: not those of the writers, of which there may be many. */
export const GET = script(`
local f = fields('status', 'expiresAt')
if not exists(f[1]) then return {'not_found'} end
return {effective(f[1], f[2]), fields(${RECORD_FIELDS.map((field) => `'${field}'`).join(', ')})}
`);

/**
 * ARGV: after, limit, max bytes, the element in which the event behind `after` should be, or ''. Answers the number of the
 * first element, and the elements. What is taken out of the list at once is what a page has as a rule, and bounded by
 * `largest`, so that a session of a few huge events does not make the server copy hundreds of megabytes for a page of four.
 */
export const READ = bareScript(`
local after, limit, maxBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function int(n) return string.format('%.0f', n) end
local function range(from, count) return redis.call('LRANGE', KEYS[2], int(from), int(from + count - 1)) end
local function position(element) return tonumber(string.match(element, '^%d+')) or 0 end
local function isBehind(index)
  local element = redis.call('LINDEX', KEYS[2], int(index))
  return type(element) ~= 'string' or position(element) > after + 1
end
local low, high = 0, redis.call('LLEN', KEYS[2]) - 1
local hint = tonumber(ARGV[4])
if hint and hint <= high and not isBehind(hint) and isBehind(hint + 1) then low, high = hint, hint end
while low < high do
  local middle = math.ceil((low + high) / 2)
  if isBehind(middle) then high = middle - 1 else low = middle end
end
local f = redis.call('HMGET', KEYS[1], 'largest', 'events', 'elements')
local largest, all, listed = tonumber(f[1]) or 0, tonumber(f[2]) or 0, tonumber(f[3]) or 0
local many = math.ceil(limit * listed / math.max(1, all)) + 1
local step = math.max(1, math.min(many, math.floor(4 * maxBytes / math.max(1, largest))))
local taken, events, bytes = 0, 0, 0
while events < limit and bytes <= maxBytes do
  local elements = range(low + taken, step)
  for i = 1, #elements do
    local _, more = string.gsub(elements[i], '\\n', '\\n')
    local last = position(elements[i]) + more
    if last > after then
      events = math.min(last - after, events + 1 + more)
      bytes = bytes + #elements[i]
    end
    taken = taken + 1
    if events >= limit or bytes > maxBytes then break end
  end
  if #elements < step then break end
end
return {int(low), range(low, taken)}
`);

import { createHash } from 'node:crypto';
import { MAX_DIGITS } from './writer-ids.js';

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

const NOW = `
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

function script(body: string): Script {
  return bareScript(PRELUDE + body);
}

function bareScript(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Milliseconds that the keys of an open session outlive its expiry, to be found by a sweep or a replay: 24 hours, at least 12. */
export const OVERDUE_MS = 86_400_000;
/** Half of that time: then it is renewed. */
export const MIN_OVERDUE_MS = OVERDUE_MS / 2;

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

/**
 * What both ways to append have in common: the session must be open as of `asOf`, and its time to live is renewed. It is
 * run for every add, so it makes no functions and formats no number twice. `%d` takes half the time of `%.0f`, and is for
 * what stays below 2^31: where Redis has 32 bits, it takes no more.
 */
const OPEN_SESSION = `
local f = redis.call('HMGET', KEYS[1], 'status', 'expiresAt', 'ttl', 'events', 'bytes', 'keepUntil', 'largest', 'loose', 'elements', ARGV[1])
if type(f[1]) ~= 'string' then return {'not_found'} end
if f[1] ~= 'open' then return {'not_open', f[1]} end
local due = tonumber(f[2])
if due <= math.min(asOf or now, now) then return {'not_open', 'expired'} end
local format = string.format
local events, bytes, elements = tonumber(f[4]), tonumber(f[5]), tonumber(f[9])
local expiresAt = math.max(now + tonumber(f[3]), due)
`;

/** Appends the elements that are in the table from there on. */
const push = (table: string, from: number) => `
for i = ${from}, #${table}, 4000 do
  redis.call('RPUSH', KEYS[2], unpack(${table}, i, math.min(i + 3999, #${table})))
end
`;
const pushAndCount = (table: string, from: number) => `${push(table, from)}
elements = elements + #${table} - ${from - 1}
`;

const RENEW = `
local keepUntil = tonumber(f[6])
if f[4] == '0' or keepUntil - expiresAt < ${MIN_OVERDUE_MS} then
  keepUntil = expiresAt + ${OVERDUE_MS}
  redis.call('HSET', KEYS[1], 'keepUntil', format('%.0f', keepUntil))
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], format('%.0f', keepUntil - now)) end
end
`;

/**
 * Which event ids a session has is kept in two places, and an id is in one of them: as a number in the ranges of its
 * writer, or in the set.
 *
 * An id that ends in a hyphen and a number, `prefix-17`, belongs to a writer, the prefix. What a writer has added is a
 * field of the hash, `w:prefix-`, with ranges of numbers in rising order: `1 500 503 510`. A number above the last
 * range makes it longer or begins another one. One below that is not in a range, and one for which the ranges have
 * grown too long, goes into the set like any id of another form. So as long as the ranges are short, a number above
 * the last one is new, whatever the set has: {@link APPEND_RUN} looks at nothing else.
 */
export const MAX_RANGES = 480;

/** Which ids the ranges of the writers have. A field is read and taken apart once, however many ids ask for it. */
const WRITERS = `
local function writerOf(id)
  local prefix, digits = string.match(id, '^(.*%-)([1-9]%d*)$')
  if prefix and #digits <= ${MAX_DIGITS} then return 'w:' .. prefix, digits end
end
local writers = {}
local function rangesOf(field)
  local ranges = writers[field]
  if ranges then return ranges end
  local text = redis.call('HGET', KEYS[1], field)
  if type(text) ~= 'string' then text = '' end
  ranges = {length = #text}
  for number in string.gmatch(text, '%d+') do ranges[#ranges + 1] = tonumber(number) end
  writers[field] = ranges
  return ranges
end
local function within(ranges, number)
  if number > (ranges[#ranges] or 0) then return false end
  for i = 2, #ranges, 2 do
    if number <= ranges[i] then return number >= ranges[i - 1] end
  end
end
`;

/**
 * Any events, one by one: `given` has n different ids behind place `skip`, then n texts `topic json`, each for an element of
 * its own. `numbered`: some of the ids may have the form of a writer's.
 */
const APPEND_EACH = `${WRITERS}
local largest, loose = tonumber(f[7]), tonumber(f[8])
local duplicates, ids, texts, changed = {}, {}, {}, {}

local function extend(field, number, digits)
  local ranges = rangesOf(field)
  local last = ranges[#ranges]
  if last and number == last + 1 then
    ranges.length = ranges.length + #digits - #format('%.0f', last)
    ranges[#ranges] = number
  elseif not last or (number > last and ranges.length < ${MAX_RANGES}) then
    ranges.length = ranges.length + (last and 1 or 0) + 2 * #digits + 1
    ranges[#ranges + 1] = number
    ranges[#ranges + 1] = number
  else return false end
  changed[field] = true
  return true
end

for from = 1, n, 4000 do
  local to = math.min(from + 3999, n)
  local flags = redis.call('SMISMEMBER', KEYS[3], unpack(given, skip + from, skip + to))
  for i = from, to do
    local id, event = given[skip + i], given[skip + n + i]
    local known, field, digits = tonumber(flags[i - from + 1]) == 1, nil, nil
    if numbered and not known then field, digits = writerOf(id) end
    local number = tonumber(digits or '')
    if known or (field and within(rangesOf(field), number)) then
      duplicates[#duplicates + 1] = format('%d', i - 1)
    else
      texts[#texts + 1] = format('%d', events + #texts + 1) .. ' ' .. event
      local size = #event - string.find(event, ' ', 1, true)
      bytes = bytes + size
      if size > largest then largest = size end
      if not (field and extend(field, number, digits)) then ids[#ids + 1] = id end
    end
  end
end
if #texts > 0 then
  events = events + #texts
  if events > maxEvents then return {'limit_exceeded', 'events'} end
  if bytes > maxBytes then return {'limit_exceeded', 'bytes'} end
end
${pushAndCount('texts', 1)}
for from = 1, #ids, 4000 do redis.call('SADD', KEYS[3], unpack(ids, from, math.min(from + 3999, #ids))) end
for field in pairs(changed) do
  local numbers = {}
  for i, number in ipairs(writers[field]) do numbers[i] = format('%.0f', number) end
  redis.call('HSET', KEYS[1], field, table.concat(numbers, ' '))
end
local count = format('%d', events)
redis.call('HSET', KEYS[1], 'events', count, 'elements', format('%d', elements), 'bytes', format('%.0f', bytes),
  'largest', format('%d', largest), 'loose', format('%d', loose + #ids), 'expiresAt', format('%.0f', expiresAt))
if loose == 0 and #ids > 0 then redis.call('PEXPIRE', KEYS[3], format('%.0f', tonumber(f[6]) - now)) end
${RENEW}
return {'appended', count, table.concat(duplicates, ',')}
`;

/** In the arguments. */
const FIRST_ELEMENT = 10;

/**
 * The ids of a library's own making, as they come as a rule: one writer, numbers without a gap, above all before. If they
 * are not above all before, each is looked at by itself, here and now: what is sent after this must come after it.
 *
 * Most of the time that it takes goes into reading what the session is like, and writing down what it is like then. The
 * writer knows both as a rule, and sends what it expects, and what that will be (session-state.ts). Every append changes
 * `events`, and `extend` changes `expiresAt`: so if these two are as expected, nothing else has changed. But the session
 * may have run out while this was on its way.
 *
 * ARGV: writer's field; what is needed to look: as of when or -, max events, max bytes, n, first number, bytes of the
 * envelopes, bytes of the largest element, the position that the first event has in its element; how many events are
 * expected, or '', and with which expiry, and if so what events, expiry, elements, bytes and the writer's ranges will be;
 * then the elements. If the first event is at another position, all are moved. What is needed to look comes as one text, and
 * is taken apart when it is: for a client every argument has its price.
 *
 * Answers 1 if all was as expected; otherwise like {@link APPEND}, and when all were above all before, with what the
 * session is like now: elements, bytes, the largest element, expiry, until when its keys stay, the time, the time to live,
 * the writer's ranges.
 */
export const APPEND_RUN = bareScript(`${NOW}
if ARGV[3] ~= '' then
  local f = redis.call('HMGET', KEYS[1], 'status', 'events', 'expiresAt')
  if f[1] == 'open' and f[2] == ARGV[3] and f[3] == ARGV[4] and now < tonumber(f[3]) then
    ${push('ARGV', FIRST_ELEMENT)}
    redis.call('HSET', KEYS[1], 'events', ARGV[5], 'expiresAt', ARGV[6], 'elements', ARGV[7], 'bytes', ARGV[8], ARGV[1], ARGV[9])
    return 1
  end
end
local what = {}
for part in string.gmatch(ARGV[2], '%S+') do what[#what + 1] = tonumber(part) or false end
local asOf, maxEvents, maxBytes, n, first = what[1], what[2], what[3], what[4], what[5]
${OPEN_SESSION}
local ranges = type(f[10]) == 'string' and f[10] or ''
local last = string.match(ranges, '%d+$')
if last and (first <= tonumber(last) or #ranges >= ${MAX_RANGES}) then
  local given, skip, numbered, prefix = {}, 0, true, string.sub(ARGV[1], 3)
  for i = 1, n do given[i] = prefix .. format('%.0f', first + i - 1) end
  for i = ${FIRST_ELEMENT}, #ARGV do
    local element = ARGV[i]
    local at = string.find(element, ' ', 1, true) + 1
    while at do
      local newline = string.find(element, '\\n', at, true)
      given[#given + 1] = string.sub(element, at, (newline or 0) - 1)
      at = newline and newline + 1
    end
  end
  ${APPEND_EACH}
end
bytes = bytes + what[6]
if events + n > maxEvents then return {'limit_exceeded', 'events'} end
if bytes > maxBytes then return {'limit_exceeded', 'bytes'} end
local off = events + 1 - what[8]
if off == 0 then ${pushAndCount('ARGV', FIRST_ELEMENT)} else
  local texts = {}
  for i = ${FIRST_ELEMENT}, #ARGV do
    local space = string.find(ARGV[i], ' ', 1, true)
    texts[#texts + 1] = format('%d', tonumber(string.sub(ARGV[i], 1, space - 1)) + off) .. string.sub(ARGV[i], space)
  end
  ${pushAndCount('texts', 1)}
end
events = events + n
local from, to = format('%.0f', first), format('%.0f', first + n - 1)
if not last then ranges = from .. ' ' .. to
elseif first == tonumber(last) + 1 then ranges = string.sub(ranges, 1, -1 - #last) .. to
else ranges = ranges .. ' ' .. from .. ' ' .. to end
local count = format('%d', events)
redis.call('HSET', KEYS[1], 'events', count, 'elements', format('%d', elements), 'bytes', format('%.0f', bytes),
  'expiresAt', format('%.0f', expiresAt), ARGV[1], ranges)
local largest = math.max(tonumber(f[7]), what[7])
if largest > tonumber(f[7]) then redis.call('HSET', KEYS[1], 'largest', format('%d', largest)) end
${RENEW}
return {'appended', count, '', elements, bytes, largest, expiresAt, keepUntil, now, tonumber(f[3]), ranges}
`);

/**
 * ARGV: '', as of when or '', max events, max bytes, n, whether some ids have the form of a writer's, then n different
 * ids, then n texts `topic json`, each for an element of its own. Answers `appended`, the count, and the positions (from 0, with commas) of those that were there already.
 */
export const APPEND = bareScript(`${NOW}
local asOf, maxEvents, maxBytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
${OPEN_SESSION}
local n, given, skip, numbered = tonumber(ARGV[5]), ARGV, 6, ARGV[6] == '1'
${APPEND_EACH}
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

/** ARGV: event ids. */
export const CONTAINS = bareScript(`${WRITERS}
local flags = redis.call('SMISMEMBER', KEYS[3], unpack(ARGV))
for i = 1, #ARGV do
  local field, digits = writerOf(ARGV[i])
  if field and within(rangesOf(field), tonumber(digits)) then flags[i] = 1 end
end
return flags
`);

/** The scripts below have one key, the index. ARGV: session id, milliseconds from now. */
/**
 * Sees to it that there is an entry, due then or earlier; answers the score of one that it has made, or ''. One that is
 * there never keeps its score, and one that is overdue becomes due now: somebody may have read the score and be about to
 * correct it.
 */
export const INDEX_PUT = script(`
local due, score = now + tonumber(ARGV[2]), redis.call('ZSCORE', KEYS[1], ARGV[1])
if score then due = math.min(due, math.max(now, tonumber(score))) end
if due == tonumber(score or '') then due = due - 1 end
redis.call('ZADD', KEYS[1], int(due), ARGV[1])
return score and '' or int(due)
`);

/** ARGV: session id, the score that was read, milliseconds from now or '' for removal. Not if the score has changed. */
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

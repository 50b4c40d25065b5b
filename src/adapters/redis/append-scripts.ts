import { bareScript, MIN_OVERDUE_MS, NOW, OVERDUE_MS } from './script.js';
import { MAX_DIGITS } from './writer-ids.js';

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

/** ARGV: event ids. */
export const CONTAINS = bareScript(`${WRITERS}
local flags = redis.call('SMISMEMBER', KEYS[3], unpack(ARGV))
for i = 1, #ARGV do
  local field, digits = writerOf(ARGV[i])
  if field and within(rangesOf(field), tonumber(digits)) then flags[i] = 1 end
end
return flags
`);

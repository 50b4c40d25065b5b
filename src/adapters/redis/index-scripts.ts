import { script } from './script.js';

/**
 * KEYS: the index of the sessions that somebody has to act on; so it is for all of these scripts. ARGV: session id,
 * milliseconds from now.
 *
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

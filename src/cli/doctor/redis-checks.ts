import * as scripts from '../../adapters/redis/scripts.js';
import { messageOf } from '../../core/errors.js';
import { within } from '../../core/within.js';
import { withoutPassword } from '../../core/without-password.js';
import { needing } from '../parts.js';
import { bytesText, spanText } from '../wording.js';
import { type Check, type CheckGroup, error, isAtLeast, ok, warning } from './check.js';

type Redis = import('ioredis').Redis;

const DEADLINE_MS = 3_000;
const OLDEST = '6.2';
/** Sessions are timed by Redis, events and log records by their hosts. */
const SKEW_MS = 2_000;
/** What the scripts of `redisStore` call. */
const COMMANDS = [
  ...new Set(
    Object.values(scripts).flatMap((script) =>
      typeof script === 'object' && 'lua' in script
        ? [...script.lua.matchAll(/redis\.call\('([A-Z]+)'/g)].map(([, name]) => name)
        : [],
    ),
  ),
].join(' ');

/** @throws UsageError if ioredis is not installed */
export async function redisChecks(url: string, prefix: string): Promise<CheckGroup> {
  const { Redis } = await needing('ioredis', () => import('ioredis'));
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    // It would complain on the console where INFO is forbidden.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: DEADLINE_MS,
  });
  let lastError: unknown;
  redis.on('error', (failure) => {
    lastError = failure;
  });
  const target = `${withoutPassword(url)} (prefix ${prefix})`;
  try {
    await within(DEADLINE_MS, redis.connect());
    const checks = await checksOf(redis, prefix);
    // Such as a database that it does not have: ioredis goes on, the store does not.
    if (lastError !== undefined) throw lastError;
    return { title: 'Redis', target, checks };
  } catch (failure) {
    return { title: 'Redis', target, checks: [unreachable(lastError ?? failure)] };
  } finally {
    redis.disconnect();
  }
}

function unreachable(failure: unknown): Check {
  const message = messageOf(failure);
  const isLogin = /NOAUTH|WRONGPASS|NOPERM/.test(message);
  const advice = isLogin
    ? 'put a user and password that it accepts into the URL: redis://user:password@host:port'
    : message.startsWith('LOADING')
      ? 'wait: it refuses commands until it has read its data'
      : 'check that it runs, that the URL names it, and that no firewall is in between';
  return error('redis.reachable', `cannot be reached: ${message}`, advice);
}

async function checksOf(redis: Redis, prefix: string): Promise<Check[]> {
  const call = (command: string, ...args: (string | number)[]) =>
    within(DEADLINE_MS, redis.call(command, ...args));
  const startedAt = performance.now();
  await call('PING');
  const roundTripMs = performance.now() - startedAt;
  const info = await facts(call);
  const checks = [
    ok('redis.reachable', `reachable, answers within ${Math.ceil(roundTripMs)} ms`),
    version(info),
    topology(info),
    role(info),
    eviction(info),
    ...persistence(info),
    await scriptsCheck(call, prefix),
    await clock(call),
  ];
  return checks.filter((check) => check !== undefined);
}

type Call = (command: string, ...args: (string | number)[]) => Promise<unknown>;
type Facts = ReadonlyMap<string, string>;

/** INFO, and CONFIG where it is allowed: managed servers often forbid it. */
async function facts(call: Call): Promise<Facts> {
  const all = new Map<string, string>();
  const info = await call('INFO').catch(() => '');
  for (const line of String(info).split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) all.set(line.slice(0, colon), line.slice(colon + 1));
  }
  for (const name of [
    'maxmemory',
    'maxmemory-policy',
    'appendonly',
    'appendfsync',
    'stop-writes-on-bgsave-error',
  ]) {
    const answer = (await call('CONFIG', 'GET', name).catch(() => [])) as string[];
    if (answer[1] !== undefined) all.set(name, answer[1]);
  }
  return all;
}

function version(info: Facts): Check {
  const found = info.get('redis_version');
  if (found === undefined) return warning('redis.version', 'the version cannot be told: INFO is forbidden');
  return isAtLeast(found, OLDEST)
    ? ok('redis.version', `version ${found}`)
    : error('redis.version', `version ${found} is too old`, `use ${OLDEST} or later`);
}

function topology(info: Facts): Check | undefined {
  if (info.get('redis_mode') !== 'cluster') return undefined;
  return error(
    'redis.cluster',
    'is a node of a Redis Cluster, which a URL cannot reach as a whole',
    'bring the store in event-sessions.config.mjs: store: redisStore({ client: new Cluster([…]) })',
  );
}

function role(info: Facts): Check {
  const found = info.get('role');
  if (found === undefined) return warning('redis.role', 'the role cannot be told: INFO is forbidden');
  if (found !== 'slave') return ok('redis.role', 'is a primary');
  const primary = `${info.get('master_host')}:${info.get('master_port')}`;
  return error(
    'redis.role',
    `is a replica of ${primary}: it refuses writes, or loses them`,
    'name the primary',
  );
}

function eviction(info: Facts): Check {
  const policy = info.get('maxmemory-policy') ?? info.get('maxmemory_policy');
  const limit = Number(info.get('maxmemory') ?? 0);
  const advice = 'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf';
  if (policy === undefined) return warning('redis.eviction', 'maxmemory-policy cannot be told', advice);
  const memory = limit === 0 ? 'no maxmemory' : `maxmemory ${bytesText(limit)}`;
  if (policy === 'noeviction') return ok('redis.eviction', `maxmemory-policy noeviction, ${memory}`);
  const name = 'redis.eviction';
  return limit > 0
    ? error(name, `maxmemory-policy ${policy}, ${memory}: sessions are dropped when it is full`, advice)
    : warning(
        name,
        `maxmemory-policy ${policy}, ${memory}: sessions are dropped as soon as a limit is set`,
        advice,
      );
}

function persistence(info: Facts): Check[] {
  const appendonly = info.get('appendonly') ?? { '0': 'no', '1': 'yes' }[info.get('aof_enabled') ?? ''];
  const checks: Check[] = [];
  const advice = 'CONFIG SET appendonly yes, and the same in redis.conf';
  if (appendonly === undefined) checks.push(warning('redis.appendonly', 'appendonly cannot be told', advice));
  else if (appendonly === 'no') {
    checks.push(
      warning(
        'redis.appendonly',
        'appendonly no: a crash loses sessions and events that were acknowledged',
        advice,
      ),
    );
  } else checks.push(ok('redis.appendonly', 'appendonly yes'));
  const fsync = appendonly === 'yes' ? info.get('appendfsync') : undefined;
  if (fsync === 'no') {
    const text = 'appendfsync no: a crash of the machine loses what the system has not written, some 30 s';
    checks.push(warning('redis.appendfsync', text, 'CONFIG SET appendfsync everysec, or always'));
  } else if (fsync === 'everysec') {
    checks.push(ok('redis.appendfsync', 'appendfsync everysec: a crash of the machine loses up to a second'));
  } else if (fsync !== undefined) checks.push(ok('redis.appendfsync', `appendfsync ${fsync}`));
  const saveFails =
    info.get('rdb_last_bgsave_status') === 'err' && info.get('stop-writes-on-bgsave-error') !== 'no';
  if (saveFails || info.get('aof_last_write_status') === 'err') {
    const text = 'the last write to its disk failed: it refuses writes (MISCONF)';
    checks.push(error('redis.disk', text, 'look into its log; free disk or mend the permissions'));
  }
  return checks;
}

/** Asks the server itself, as the user that it knows us as, and runs nothing that writes. */
async function scriptsCheck(call: Call, prefix: string): Promise<Check> {
  const name = 'redis.scripts';
  const keys = [`${prefix}:{doctor}`, `${prefix}:index`];
  const lua = `if not redis.acl_check_cmd then return {} end
local refused = {}
for command in string.gmatch(ARGV[1], '%S+') do
  local ok, allowed = pcall(redis.acl_check_cmd, command, KEYS[string.sub(command, 1, 1) == 'Z' and 2 or 1], '0', '0', '0')
  if ok and not allowed then table.insert(refused, command) end
end
return refused`;
  const advice =
    'ACL SETUSER …: allow +evalsha +eval and the commands of hashes, lists, sets and sorted sets, on ~' +
    `${prefix}:*`;
  try {
    const refused = (await call('EVAL', lua, 2, ...keys, COMMANDS)) as string[];
    // As the store calls them: by their hash first.
    await call('EVALSHA', '0'.repeat(40), 1, keys[0] ?? '').catch((failure: unknown) => {
      if (!messageOf(failure).startsWith('NOSCRIPT')) throw failure;
    });
    if (refused.length === 0) return ok(name, 'Lua scripts are allowed, with the commands they use');
    return error(name, `its user may not use ${refused.join(' ')}`, advice);
  } catch (failure) {
    return error(name, `Lua scripts are refused: ${messageOf(failure)}`, advice);
  }
}

async function clock(call: Call): Promise<Check> {
  const name = 'redis.clock';
  try {
    const before = Date.now();
    const [seconds, microseconds] = (await call('TIME')) as [string, string];
    const after = Date.now();
    const there = Number(seconds) * 1_000 + Number(microseconds) / 1_000;
    // Somewhere between the two.
    const skew = there < before ? there - before : Math.max(0, there - after);
    if (Math.abs(skew) < SKEW_MS) return ok(name, 'its clock and the one here agree');
    const text = `its clock is ${spanText(Math.abs(skew))} ${skew < 0 ? 'behind' : 'ahead of'} the one here`;
    return warning(
      name,
      text,
      'synchronize both by NTP: times of events and of sessions do not fit together',
    );
  } catch (failure) {
    return warning(name, `its clock cannot be read: ${messageOf(failure)}`);
  }
}

import { createRequire } from 'node:module';
import { messageOf } from '../core/errors.js';
import type { Command, CommandContext } from './command.js';
import { JSON_FLAG } from './command.js';
import {
  type Check,
  type CheckGroup,
  type CheckStatus,
  error,
  isAtLeast,
  ok,
  warning,
} from './doctor/check.js';
import { fileChecks } from './doctor/file-checks.js';
import { nsqdChecks } from './doctor/nsqd-checks.js';
import { redisChecks } from './doctor/redis-checks.js';
import { EXIT, untilAborted } from './exit-codes.js';
import type { Settings } from './settings.js';
import type { Terminal } from './terminal.js';
import { countText } from './wording.js';

export const doctor: Command = {
  name: 'doctor',
  summary: 'check Redis, nsqd and the contingency log, and say what to do',
  description: [
    'Each line is ok, a warning (works, but a promise may end earlier than you think) or an error (does not work).\n' +
      'Nothing is changed, nothing is published, no session is touched. Run it on the host, and as the user, of a service.',
  ],
  flags: JSON_FLAG,
  examples: [
    'event-sessions doctor --redis redis://127.0.0.1:6379 --nsqd 127.0.0.1:4150 --file /var/lib/shop/contingency-log.jsonl',
    'event-sessions doctor --json | jq \'.checks[] | select(.status != "ok")\'',
  ],
  exitCodes: [
    ['0', 'no errors; there may be warnings'],
    ['1', 'at least one error'],
    ['2', 'wrong usage, or ioredis is not installed'],
    ['130', 'ended by Ctrl-C (143: by SIGTERM)'],
  ],
  run: (context) => untilAborted(context.signal, examine(context)),
};

async function examine({ flags, settings, stdout }: CommandContext): Promise<number> {
  const groups = await Promise.all([
    nodeChecks(),
    storeChecks(settings),
    ...brokerChecks(settings),
    logChecks(settings),
  ]);
  const checks = groups.flatMap(({ title, target, checks: of }) =>
    of.map(({ status, name, message, advice }) => ({ status, name, of: title, target, message, advice })),
  );
  const status = worst(checks);
  if (flags.json === true) stdout.line(JSON.stringify({ status, checks }));
  else show(stdout, groups);
  return status === 'error' ? EXIT.left : EXIT.ok;
}

async function nodeChecks(): Promise<CheckGroup> {
  const { engines } = createRequire(import.meta.url)('event-sessions/package.json') as {
    engines: { node: string };
  };
  const found = process.versions.node;
  const check = isAtLeast(found, engines.node)
    ? ok('node.version', `version ${found}`)
    : error('node.version', `version ${found} is too old`, `use Node.js ${engines.node}`);
  return { title: 'Node.js', checks: [check] };
}

async function storeChecks({ redis, prefix, adapters }: Settings): Promise<CheckGroup> {
  const title = 'Store';
  if (adapters.store !== undefined) {
    const ping = await pinged('store.reachable', adapters.store);
    if (redis === undefined)
      return { title, target: 'of the config file', checks: [ping, moreWith('store', 'redis')] };
    const group = await redisChecks(redis, prefix);
    return { ...group, checks: [ping, ...group.checks] };
  }
  if (redis !== undefined) return redisChecks(redis, prefix);
  return {
    title,
    checks: [warning('store.configured', 'none was named: not checked', 'name it with --redis')],
  };
}

function brokerChecks(settings: Settings): Promise<CheckGroup>[] {
  const { nsqd, adapters } = settings;
  const groups = nsqd.map((address) => nsqdChecks(address, settings));
  if (adapters.publisher !== undefined) {
    const { publisher } = adapters;
    const own = async (): Promise<CheckGroup> => {
      const ping = await pinged('publisher.reachable', publisher);
      const checks = nsqd.length === 0 ? [ping, moreWith('publisher', 'nsqd')] : [ping];
      return { title: 'Publisher', target: 'of the config file', checks };
    };
    return [own(), ...groups];
  }
  if (groups.length > 0)
    return [...groups, Promise.resolve({ title: 'Codec', checks: [codecCheck(settings)] })];
  const check = warning('publisher.configured', 'none was named: not checked', 'name it with --nsqd');
  return [Promise.resolve({ title: 'Broker', checks: [check] })];
}

/** What the messages look like cannot be seen from here, only what `recover` and `serve` would send. */
function codecCheck({ codec }: Settings): Check {
  const name = 'codec.configured';
  if (codec === 'json') return ok(name, 'json: messages are the bare data');
  if (codec === 'cloudevents') return ok(name, 'cloudevents: messages are whole events');
  return ok(name, 'cloudevents, as none was named. If the services use json(), name it: --codec json');
}

async function logChecks({ file, maxBytes, adapters }: Settings): Promise<CheckGroup> {
  const { contingency } = adapters;
  const title = 'Contingency log';
  if (contingency === false) {
    return {
      title,
      checks: [warning('file.configured', 'turned off: an outage of the store or the broker is an error')],
    };
  }
  if (contingency === undefined) return fileChecks(file ?? '', maxBytes);
  const ping = await pinged('contingency.reachable', contingency);
  if (file === undefined)
    return { title, target: 'of the config file', checks: [ping, moreWith('contingency', 'file')] };
  const group = await fileChecks(file, maxBytes);
  return { ...group, checks: [ping, ...group.checks] };
}

async function pinged(name: string, part: { ping(): Promise<void>; close(): Promise<void> }): Promise<Check> {
  try {
    await part.ping();
    return ok(name, 'takes commands');
  } catch (failure) {
    return error(name, messageOf(failure));
  } finally {
    await part.close().catch(() => {});
  }
}

function moreWith(part: string, key: string): Check {
  const text = 'for an adapter from the config file, only reachability can be checked';
  return warning(`${part}.details`, text, `give the config file the key ${key} too, for the other checks`);
}

function worst(checks: readonly { readonly status: CheckStatus }[]): CheckStatus {
  const found = (status: CheckStatus) => checks.some((check) => check.status === status);
  if (found('error')) return 'error';
  return found('warning') ? 'warning' : 'ok';
}

const TONES = { ok: 'green', warning: 'yellow', error: 'red' } as const;

function show({ line, paint }: Terminal, groups: readonly CheckGroup[]): void {
  for (const { title, target, checks } of groups) {
    line(`${paint('bold', title)}${target === undefined ? '' : `  ${paint('dim', target)}`}`);
    for (const { status, message, advice } of checks) {
      line(`  ${paint(TONES[status], status.padEnd(7))}  ${message}`);
      if (status !== 'ok' && advice !== undefined) line(`           → ${advice}`);
    }
    line();
  }
  const count = (status: CheckStatus) =>
    groups.reduce((sum, { checks }) => sum + checks.filter((check) => check.status === status).length, 0);
  const [errors, warnings] = [count('error'), count('warning')];
  const parts = [
    paint(errors > 0 ? 'red' : 'dim', countText(errors, 'error')),
    paint(warnings > 0 ? 'yellow' : 'dim', countText(warnings, 'warning')),
    `${count('ok')} ok`,
  ];
  line(parts.join(', '));
}

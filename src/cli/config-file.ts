import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isEventSessionsError, messageOf } from '../core/errors.js';
import { type EventSessionsOptions, resolveOptions } from '../options.js';
import type { ContingencyLog } from '../ports/contingency-log.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import type { SessionStore } from '../ports/session-store.js';
import { didYouMean } from './did-you-mean.js';
import { UsageError } from './exit-codes.js';
import { CONFIG_NAME, SETTING_KEYS } from './setting-list.js';
import { valueText } from './wording.js';

/** What a config file said: settings by their keys, adapters, and the other options of `createEventSessions`. */
export interface Config {
  readonly path: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly store: SessionStore | undefined;
  readonly publisher: EventPublisher | undefined;
  readonly contingency: ContingencyLog | false | undefined;
  readonly options: Omit<EventSessionsOptions, 'store' | 'publisher' | 'contingency'>;
}

const OPTIONS: Readonly<Record<Exclude<keyof EventSessionsOptions, keyof typeof ADAPTERS>, true>> = {
  source: true,
  events: true,
  topic: true,
  ttl: true,
  retention: true,
  limits: true,
  commit: true,
  recovery: true,
  metrics: true,
  logger: true,
  instrumentation: true,
  instanceId: true,
};

const ADAPTERS = {
  store: { methods: ['get', 'list', 'due', 'ping', 'close'], example: 'redisStore()' },
  publisher: { methods: ['publish', 'ping', 'close'], example: 'nsqPublisher()' },
  contingency: { methods: ['append', 'seal', 'backlog', 'ping', 'close'], example: 'fileContingency()' },
} as const;

/**
 * The default export of the file, or what it returns if it is a function. Undefined if none was named and there is
 * none in the working directory.
 *
 * @throws {@link UsageError} naming the file and everything that is wrong with it
 */
export async function loadConfig(named: string | undefined, cwd: string): Promise<Config | undefined> {
  const path = resolve(cwd, named ?? CONFIG_NAME);
  const isThere = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isThere) {
    if (named === undefined) return undefined;
    throw new UsageError(`the config file ${path} does not exist`);
  }
  return toConfig(path, await exported(path));
}

async function exported(path: string): Promise<unknown> {
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    throw new UsageError(`${path} cannot be loaded: ${messageOf(error)}`, { cause: error });
  }
  if (module.default === undefined) throw new UsageError(`${path} has no default export`);
  if (typeof module.default !== 'function') return module.default;
  try {
    return await (module.default as () => unknown)();
  } catch (error) {
    throw new UsageError(`the function that ${path} exports failed: ${messageOf(error)}`, { cause: error });
  }
}

function toConfig(path: string, value: unknown): Config {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(
      `${path}: expected an object, or a function that returns one, as the default export; got ${valueText(value)}`,
    );
  }
  const given = value as Readonly<Record<string, unknown>>;
  const known = [...SETTING_KEYS, ...Object.keys(ADAPTERS), ...Object.keys(OPTIONS)];
  const issues = Object.keys(given)
    .filter((key) => !known.includes(key))
    .map((key) => `${key} is not a setting${didYouMean(key, known)}`);
  for (const [key, { methods, example }] of Object.entries(ADAPTERS)) {
    const adapter = given[key];
    if (adapter === undefined || (key === 'contingency' && adapter === false)) continue;
    const missing = methods.filter((method) => typeof (adapter as never)?.[method] !== 'function');
    if (missing.length > 0)
      issues.push(`${key}: expected an adapter such as ${example}, got ${valueText(adapter)}`);
  }
  const pick = (keys: readonly string[]) =>
    Object.fromEntries(keys.filter((key) => given[key] !== undefined).map((key) => [key, given[key]]));
  const options = pick(Object.keys(OPTIONS));
  issues.push(...mistakesIn(options));
  if (issues.length > 0) throw new UsageError(`${path}: ${issues.join('; ')}`);
  return {
    path,
    settings: pick(SETTING_KEYS),
    store: given.store as SessionStore | undefined,
    publisher: given.publisher as EventPublisher | undefined,
    contingency: given.contingency as ContingencyLog | false | undefined,
    options,
  };
}

/** What `createEventSessions` would refuse, found out also by what does not call it, as `recover --dry-run`. */
function mistakesIn(options: Config['options']): string[] {
  try {
    resolveOptions(options);
    return [];
  } catch (error) {
    if (!isEventSessionsError(error, 'INVALID_INPUT')) throw error;
    return (error.issues ?? []).map(({ path, message }) => `${path}: ${message}`);
  }
}

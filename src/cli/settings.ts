import { dirname, resolve } from 'node:path';
import { fileBehind } from '../adapters/file/folder.js';
import type { FlagValues } from './arguments.js';
import { type Config, loadConfig } from './config-file.js';
import { UsageError } from './exit-codes.js';
import { CONFIG_ENV, SETTING_KEYS, SETTINGS, type Setting, type SettingKey } from './setting-list.js';
import type { Environment } from './terminal.js';
import { valueText } from './wording.js';

/** What the commands work with. Flags count before environment variables, those before the config file. */
export interface Settings {
  readonly redis: string | undefined;
  readonly prefix: string;
  readonly nsqd: readonly string[];
  readonly nsqdHttp: readonly string[];
  /** Undefined when none was named, which is as good as `cloudevents`. */
  readonly codec: 'cloudevents' | 'json' | undefined;
  readonly maxMessageBytes: number;
  readonly maxRequestBytes: number;
  /** Absolute, and not a symbolic link. Undefined when the config file brings a contingency log of its own and does not say where it is. */
  readonly file: string | undefined;
  readonly maxBytes: number;
  /** Adapters of the config file, as far as no flag or variable has named something else in their place. */
  readonly adapters: Pick<Config, 'store' | 'publisher' | 'contingency'>;
  readonly options: Config['options'];
  readonly configPath: string | undefined;
}

interface Found {
  readonly value: unknown;
  readonly from: 'flag' | 'env' | 'config';
}

/** @throws {@link UsageError} naming everything that is wrong, and where it was said */
export async function resolveSettings(flags: FlagValues, env: Environment, cwd: string): Promise<Settings> {
  const named = (flags.config as string | undefined) ?? (env[CONFIG_ENV] || undefined);
  const config = await loadConfig(named, cwd);
  const issues: string[] = [];
  const found = new Map<SettingKey, Found>();
  for (const key of SETTING_KEYS) {
    const setting = SETTINGS[key] as Setting<unknown>;
    const said = firstSaid(key, setting, flags, env, config);
    if (said === undefined) continue;
    const value = setting.read(said.value);
    if (value === undefined)
      issues.push(`${said.where}: expected ${setting.expected}, got ${valueText(said.value)}`);
    else found.set(key, { value, from: said.from });
  }
  if (issues.length > 0) throw new UsageError(issues.join('\n'));

  const get = <T>(key: SettingKey, fallback: T): T => (found.get(key)?.value as T | undefined) ?? fallback;
  const saidOutside = (key: SettingKey) => ['flag', 'env'].includes(found.get(key)?.from ?? '');
  const contingency = saidOutside('file') ? undefined : config?.contingency;
  const file = get<string | undefined>(
    'file',
    contingency === undefined ? 'contingency-log.jsonl' : undefined,
  );
  const base = found.get('file')?.from === 'config' && config !== undefined ? dirname(config.path) : cwd;
  return {
    redis: get('redis', undefined),
    prefix: get('prefix', 'event-sessions'),
    nsqd: get('nsqd', []),
    nsqdHttp: get('nsqdHttp', []),
    codec: get('codec', undefined),
    maxMessageBytes: get('maxMessageBytes', 1_048_576),
    maxRequestBytes: get('maxRequestBytes', 5_242_880),
    file: file === undefined ? undefined : fileBehind(resolve(base, file)),
    maxBytes: get('maxBytes', 1_073_741_824),
    adapters: {
      store: saidOutside('redis') ? undefined : config?.store,
      publisher: saidOutside('nsqd') ? undefined : config?.publisher,
      contingency,
    },
    options: config?.options ?? {},
    configPath: config?.path,
  };
}

function firstSaid(
  key: SettingKey,
  { flag, env: variable, multiple }: Setting<unknown>,
  flags: FlagValues,
  env: Environment,
  config: Config | undefined,
): (Found & { readonly where: string }) | undefined {
  if (flags[flag] !== undefined) return { value: flags[flag], from: 'flag', where: `--${flag}` };
  const text = env[variable];
  if (text) {
    const value = multiple ? text.split(',').map((part) => part.trim()) : text;
    return { value, from: 'env', where: variable };
  }
  const value = config?.settings[key];
  if (value === undefined || config === undefined) return undefined;
  return { value, from: 'config', where: `${config.path}: ${key}` };
}

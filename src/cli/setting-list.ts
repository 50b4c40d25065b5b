import { parseNsqdAddress } from '../adapters/nsq/nsqd-address.js';
import { isRedisUrl, REDIS_URL } from '../adapters/redis/redis-url.js';
import type { Flags } from './arguments.js';
import { parseBytes } from './wording.js';

/**
 * One thing that all commands may be told, in three places: a flag, an environment variable, a key of
 * `event-sessions.config.mjs`. The first that says anything counts.
 */
export interface Setting<T> {
  readonly flag: string;
  readonly env: string;
  /** What the value is called in the help. */
  readonly value: string;
  readonly help: string;
  /** A list: the flag may be repeated, the variable separates by commas, the key takes an array. */
  readonly multiple?: boolean;
  readonly expected: string;
  /** Undefined if it is not what is expected. */
  read(value: unknown): T | undefined;
}

const matching =
  (pattern: RegExp) =>
  (value: unknown): string | undefined =>
    typeof value === 'string' && pattern.test(value) ? value : undefined;

const addresses = (value: unknown): readonly string[] | undefined => {
  const list = [value].flat();
  const all = list.every((item) => typeof item === 'string' && parseNsqdAddress(item) !== undefined);
  return all && list.length > 0 ? (list as string[]) : undefined;
};

const bytes = (value: unknown): number | undefined => {
  const number = typeof value === 'string' ? parseBytes(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number > 0 ? number : undefined;
};

export const CODECS = ['cloudevents', 'json'] as const;
const ADDRESS = "an address host:port (IPv6 as '[::1]:4150')";
const BYTES = 'a number of bytes, such as 1048576, 512KiB or 1GiB';

export const SETTINGS = {
  redis: {
    flag: 'redis',
    env: 'EVENT_SESSIONS_REDIS',
    value: 'URL',
    help: 'the store: redis://[user:password@]host[:port][/db] or rediss://',
    expected: REDIS_URL,
    read: (value: unknown) =>
      typeof value === 'string' && /^\S+$/.test(value) && isRedisUrl(value) ? value : undefined,
  },
  prefix: {
    flag: 'prefix',
    env: 'EVENT_SESSIONS_PREFIX',
    value: 'TEXT',
    help: 'prefix of its keys (default event-sessions)',
    expected: 'text of 1 to 64 characters A-Z a-z 0-9 _ . : -',
    read: matching(/^[A-Za-z0-9_.:-]{1,64}$/),
  },
  nsqd: {
    flag: 'nsqd',
    env: 'EVENT_SESSIONS_NSQD',
    value: 'HOST:PORT',
    help: 'the broker; may be given several times',
    multiple: true,
    expected: ADDRESS,
    read: addresses,
  },
  codec: {
    flag: 'codec',
    env: 'EVENT_SESSIONS_CODEC',
    value: 'NAME',
    help: 'what its messages look like: cloudevents (default) or json. Must be what the services use',
    expected: CODECS.join(' or '),
    read: (value: unknown) => CODECS.find((codec) => codec === value),
  },
  maxMessageBytes: {
    flag: 'max-message-bytes',
    env: 'EVENT_SESSIONS_MAX_MESSAGE_BYTES',
    value: 'BYTES',
    help: "nsqd's --max-msg-size, as the services' nsqPublisher has it (default 1MiB)",
    expected: BYTES,
    read: bytes,
  },
  maxRequestBytes: {
    flag: 'max-request-bytes',
    env: 'EVENT_SESSIONS_MAX_REQUEST_BYTES',
    value: 'BYTES',
    help: "nsqd's --max-body-size, likewise (default 5MiB)",
    expected: BYTES,
    read: bytes,
  },
  nsqdHttp: {
    flag: 'nsqd-http',
    env: 'EVENT_SESSIONS_NSQD_HTTP',
    value: 'HOST:PORT',
    help: 'HTTP addresses of the nsqd, for doctor (default: the port above the TCP port)',
    multiple: true,
    expected: ADDRESS,
    read: addresses,
  },
  file: {
    flag: 'file',
    env: 'EVENT_SESSIONS_FILE',
    value: 'PATH',
    help: 'the contingency log (default contingency-log.jsonl)',
    expected: 'the path of a file',
    read: matching(/^[^\0]*[^/\\\0]$/),
  },
  maxBytes: {
    flag: 'max-bytes',
    env: 'EVENT_SESSIONS_MAX_BYTES',
    value: 'BYTES',
    help: 'how large it may grow (default 1GiB)',
    expected: BYTES,
    read: bytes,
  },
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

export type SettingKey = keyof typeof SETTINGS;
export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[];

export const CONFIG_ENV = 'EVENT_SESSIONS_CONFIG';
export const CONFIG_NAME = 'event-sessions.config.mjs';

/** The flags that every command takes. */
export const SETTING_FLAGS: Flags = {
  ...Object.fromEntries(
    SETTING_KEYS.map((key) => {
      const { flag, value, help, ...setting } = SETTINGS[key] as Setting<unknown>;
      return [flag, { type: 'string', value, help, multiple: setting.multiple ?? false }] as const;
    }),
  ),
  config: {
    type: 'string',
    value: 'PATH',
    help: `the config file (default ${CONFIG_NAME}, if there is one)`,
  },
};

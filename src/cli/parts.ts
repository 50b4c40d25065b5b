import type { ContingencyLog } from '../ports/contingency-log.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import type { SessionStore } from '../ports/session-store.js';
import { UsageError } from './exit-codes.js';
import type { Settings } from './settings.js';

/**
 * The adapters that the settings ask for. Each is loaded only when it is needed, so that `inspect` runs where neither
 * ioredis nor nsqjs is installed.
 */

/** Undefined if none was named. */
export async function openStore(settings: Settings): Promise<SessionStore | undefined> {
  const { redis, prefix, adapters } = settings;
  if (adapters.store !== undefined) return adapters.store;
  if (redis === undefined) return undefined;
  const { redisStore } = await needing('ioredis', () => import('event-sessions/redis'));
  return redisStore({ url: redis, prefix });
}

/** @throws {@link UsageError} if none was named */
export async function mustOpenStore(settings: Settings): Promise<SessionStore> {
  const store = await openStore(settings);
  if (store !== undefined) return store;
  throw new UsageError('no store was named: use --redis URL, or store in the config file');
}

/** @throws {@link UsageError} if none was named */
export async function mustOpenPublisher(settings: Settings): Promise<EventPublisher> {
  const { nsqd, codec: name, maxMessageBytes, maxRequestBytes, adapters } = settings;
  if (adapters.publisher !== undefined) return adapters.publisher;
  if (nsqd.length === 0)
    throw new UsageError('no broker was named: use --nsqd HOST:PORT, or publisher in the config file');
  const { nsqPublisher } = await needing('nsqjs', () => import('event-sessions/nsq'));
  const { cloudEvents, json } = await import('event-sessions');
  const codec = name === 'json' ? json() : cloudEvents();
  return nsqPublisher({ nsqd, codec, maxMessageBytes, maxRequestBytes });
}

/** False when the config file turns contingency off. */
export async function openLog(settings: Settings): Promise<ContingencyLog | false> {
  const { file, maxBytes, adapters } = settings;
  if (adapters.contingency !== undefined) return adapters.contingency;
  const { fileContingency } = await import('event-sessions/file');
  return fileContingency({ path: file, maxBytes });
}

/** @throws {@link UsageError} that says what to install, when `load` fails for want of the package */
export async function needing<T>(name: 'ioredis' | 'nsqjs', load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    if (!isMissing || !message.includes(`'${name}'`)) throw error;
    throw new UsageError(
      `${name} is not installed, and this needs it. Install it beside event-sessions: npm install ${name}`,
    );
  }
}

/** @throws {@link UsageError} */
export function mustHaveFile({ file, configPath }: Settings): string {
  if (file !== undefined) return file;
  throw new UsageError(
    `${configPath} brings a contingency log of its own; say where its file is with the key file, or with --file`,
  );
}

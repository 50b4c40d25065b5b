import { messageOf } from './core/errors.js';
import type { ContingencyBacklog, ContingencyLog } from './ports/contingency-log.js';
import type { EventPublisher } from './ports/event-publisher.js';
import type { SessionStore } from './ports/session-store.js';

export interface ComponentHealth {
  /** `off`: there is no contingency log. */
  readonly status: 'up' | 'down' | 'off';
  /** Why it is down. */
  readonly error?: string;
}

/**
 * - `ok`: everything works;
 * - `degraded`: the store or the publisher is down, and the contingency log stands in; or only the log is down;
 * - `down`: the store or the publisher is down, and the contingency log is down, too, or off.
 */
export interface Health {
  readonly status: 'ok' | 'degraded' | 'down';
  readonly store: ComponentHealth;
  readonly publisher: ComponentHealth;
  readonly contingency: ComponentHealth;
  /** What waits for recovery; undefined without a contingency log, or when it cannot be asked. */
  readonly backlog: ContingencyBacklog | undefined;
}

/** Asks every part whether it would take something now, within its own deadline. Never rejects. */
export async function checkHealth(
  store: SessionStore,
  publisher: EventPublisher,
  log: ContingencyLog | undefined,
): Promise<Health> {
  const [storeHealth, publisherHealth, contingency, backlog] = await Promise.all([
    ask(() => store.ping()),
    ask(() => publisher.ping()),
    log === undefined ? ({ status: 'off' } as const) : ask(() => log.ping()),
    (async () => log?.backlog())().catch(() => undefined),
  ]);
  const failing = storeHealth.status === 'down' || publisherHealth.status === 'down';
  const status =
    !failing && contingency.status !== 'down'
      ? 'ok'
      : contingency.status === 'up' || !failing
        ? 'degraded'
        : 'down';
  return { status, store: storeHealth, publisher: publisherHealth, contingency, backlog };
}

async function ask(ping: () => Promise<void>): Promise<ComponentHealth> {
  try {
    await ping();
    return { status: 'up' };
  } catch (error) {
    return { status: 'down', error: messageOf(error) };
  }
}

import {
  createEventSessions,
  type EventSessionsOptions,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { afterEach } from 'vitest';
import { faultyStore } from '../support/faulty-store.js';

/** An instance on memory adapters whose store and broker can be taken down. */
export function instance(options: EventSessionsOptions = {}) {
  const store = faultyStore(memoryStore());
  const broker = { down: false };
  const publisher = memoryPublisher({
    onPublish: () => {
      if (broker.down) throw new Error('the broker is down');
    },
  });
  const log = memoryContingency();
  const sessions = createEventSessions({
    store,
    publisher,
    contingency: log,
    recovery: false,
    logger: false,
    commit: { retries: 0 },
    ...options,
  });
  opened.push(sessions.close);
  return { sessions, store, broker, publisher, log };
}

const opened: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((close) => close()));
});

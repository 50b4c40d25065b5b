import { type EventSessionsOptions, memoryContingency, memoryPublisher, memoryStore } from 'event-sessions';
import { faultyStore } from '../support/faulty-store.js';
import { openSessions } from '../support/open-sessions.js';

/** An instance on memory adapters whose store and broker can be taken down. It is closed with its test. */
export function instance(options: EventSessionsOptions = {}) {
  const store = faultyStore(memoryStore());
  const broker = { down: false };
  const publisher = memoryPublisher({
    onPublish: () => {
      if (broker.down) throw new Error('the broker is down');
    },
  });
  const log = memoryContingency();
  const sessions = openSessions({
    store,
    publisher,
    contingency: log,
    recovery: false,
    logger: false,
    commit: { retries: 0 },
    ...options,
  });
  return { sessions, store, broker, publisher, log };
}

import { memoryPublisher } from 'event-sessions';
import type { Broker } from './broker.js';

export function memoryBroker(): Broker {
  const publisher = memoryPublisher({
    onPublish: () => {
      if (broker.down) throw new Error('connect ECONNREFUSED (simulated)');
    },
  });
  const broker: Broker = {
    name: 'memory',
    topics: { orders: 'orders', mails: 'mails' },
    publisher,
    down: false,
    open: async () => {},
    async received(count) {
      const { published } = publisher;
      if (published.length < count)
        throw new Error(`only ${published.length} of ${count} events were published`);
      return published;
    },
    close: async () => {},
  };
  return broker;
}

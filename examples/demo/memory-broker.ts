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
    received: async () => publisher.published,
    close: async () => {},
  };
  return broker;
}

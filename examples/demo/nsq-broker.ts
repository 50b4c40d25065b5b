import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { EventSessionsError } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { Reader } from 'nsqjs';
import type { Broker, Message } from './broker.js';

const ARRIVES_WITHIN_MS = 10_000;
const CLOSES_WITHIN_MS = 1_000;

/** A real nsqd, read back by a Reader of nsqjs. Ephemeral topics vanish with their last reader. */
export function nsqBroker(nsqd: string): Broker {
  const run = `demo-${randomBytes(3).toString('hex')}`;
  const topics = { orders: `${run}.orders#ephemeral`, mails: `${run}.mails#ephemeral` };
  const publisher = nsqPublisher({ nsqd });
  const inbox: Message[] = [];
  const arrival = new EventTarget();
  const readers: Reader[] = [];

  const read = async (topic: string) => {
    const reader = new Reader(topic, 'demo#ephemeral', { nsqdTCPAddresses: [nsqd], maxInFlight: 10 });
    readers.push(reader);
    reader.on('message', (message) => {
      inbox.push({ topic, event: message.json() });
      message.finish();
      arrival.dispatchEvent(new Event('message'));
    });
    const ready = once(reader, 'ready', { signal: AbortSignal.timeout(ARRIVES_WITHIN_MS) });
    reader.connect();
    await ready;
    reader.on('error', () => {});
  };

  const broker: Broker = {
    name: `nsqd at ${nsqd}`,
    topics,
    down: false,
    publisher: {
      ...publisher,
      async publish(batch) {
        if (!broker.down) return publisher.publish(batch);
        const message = 'connect ECONNREFUSED (simulated)';
        throw new EventSessionsError('PUBLISH_FAILED', message, { topic: batch.topic, outcome: 'not_done' });
      },
    },

    async open() {
      await Promise.all(Object.values(topics).map(read));
    },

    async received(count) {
      const deadline = AbortSignal.timeout(ARRIVES_WITHIN_MS);
      while (inbox.length < count) {
        await once(arrival, 'message', { signal: deadline }).catch(() => {
          throw new Error(`only ${inbox.length} of ${count} messages came back from nsqd`);
        });
      }
      return inbox;
    },

    async close() {
      await Promise.all(
        readers.map(async (reader) => {
          const closed = once(reader, 'nsqd_closed', { signal: AbortSignal.timeout(CLOSES_WITHIN_MS) });
          reader.close();
          await closed.catch(() => {});
        }),
      );
    },
  };
  return broker;
}

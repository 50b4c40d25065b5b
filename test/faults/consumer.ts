import { once } from 'node:events';
import { Reader } from 'nsqjs';
import type { Message } from '../campaign/observations.js';
import type { Topics } from './case.js';

/** Reads everything that ever comes to its topics, which nobody else reads. */
export interface Consumer {
  readonly topics: Topics;
  /**
   * Everything that has come for sessions with this prefix, once all has come that nsqd was ever given for the topics.
   * Nobody may be publishing.
   */
  drained(prefix: string): Promise<Message[]>;
  close(): Promise<void>;
}

interface CloudEvent {
  readonly id: string;
  readonly sessionid: string;
  readonly sequence: string;
  readonly data: string;
}

export async function startConsumer(nsqd: { tcp: string; http: string }, topics: Topics): Promise<Consumer> {
  const messages: Message[] = [];
  const received = new Map<string, number>(topics.map((topic) => [topic, 0]));
  let heard = () => {};

  const readers = topics.map((topic) => {
    const options = {
      nsqdTCPAddresses: [nsqd.tcp],
      maxInFlight: 100,
      outputBufferSize: -1,
      outputBufferTimeout: -1,
    };
    const reader = new Reader(topic, 'checker', options);
    reader.on('message', (message) => {
      const { id, sessionid, sequence, data } = JSON.parse(message.body.toString()) as CloudEvent;
      const { timestamp } = message;
      message.finish();
      messages.push({ topic, timestamp, sessionId: sessionid, id, sequence: Number(sequence), tag: data });
      received.set(topic, (received.get(topic) ?? 0) + 1);
      heard();
    });
    // What goes wrong here shows as messages that do not come.
    reader.on('error', () => {});
    reader.connect();
    return reader;
  });
  await Promise.all(readers.map((reader) => once(reader, 'nsqd_connected')));

  /** Not the depth: with --mem-queue-size=0 nsqd reports too little of it. */
  async function given(topic: string): Promise<number> {
    const response = await fetch(
      `http://${nsqd.http}/stats?format=json&include_clients=false&topic=${topic}`,
    );
    const stats = (await response.json()) as { topics: { message_count: number }[] };
    return stats.topics.reduce((sum, { message_count }) => sum + message_count, 0);
  }

  return {
    topics,
    async drained(prefix) {
      for (const topic of topics) {
        const count = await given(topic);
        while ((received.get(topic) ?? 0) < count) {
          await new Promise<void>((resolve) => {
            heard = resolve;
          });
        }
      }
      return messages.splice(0).filter(({ sessionId }) => sessionId.startsWith(prefix));
    },
    async close() {
      const closed = readers.map((reader) => once(reader, 'nsqd_closed'));
      for (const reader of readers) reader.close();
      await Promise.all(closed);
    },
  };
}

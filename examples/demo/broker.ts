import type { CloudEvent, EventPublisher } from 'event-sessions';
import type { Topics } from './order-events.js';

export interface Message {
  readonly topic: string;
  readonly event: CloudEvent;
}

/** A broker as the demo needs it: one that can be read back, and switched off for a while. */
export interface Broker {
  readonly name: string;
  readonly topics: Topics;
  readonly publisher: EventPublisher;
  /** Starts reading: from here on a consumer is there. */
  open(): Promise<void>;
  /** Everything that has reached a consumer, as soon as it is at least `count` messages. */
  received(count: number): Promise<readonly Message[]>;
  /** While it is down it refuses every message, as in an outage. */
  down: boolean;
  /** Stops reading and removes what the demo made there. */
  close(): Promise<void>;
}

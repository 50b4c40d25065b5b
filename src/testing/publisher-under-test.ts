import type { EventPublisher } from '../ports/event-publisher.js';

export interface PublisherUnderTest {
  readonly publisher: EventPublisher;
  /**
   * Resolves with the bodies of the first `count` messages of a topic, in the order in which a consumer gets them.
   * Called again, it begins with the first one again.
   */
  readonly consume: (topic: string, count: number) => Promise<readonly string[]>;
  /** Called after the case, when the publisher is closed. */
  readonly dispose?: (() => Promise<void>) | undefined;
}

export interface BreakablePublisherUnderTest extends PublisherUnderTest {
  /**
   * Makes the broker unreachable: connections break or stop answering, new ones fail. Resolves, once that is so, with a
   * function that makes it reachable again.
   */
  readonly makeUnreachable: () => Promise<() => Promise<void>>;
}

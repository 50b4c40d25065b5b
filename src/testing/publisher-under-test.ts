import type { EventPublisher } from '../ports/event-publisher.js';

export interface PublisherUnderTest {
  readonly publisher: EventPublisher;
  /**
   * The bodies of the first `count` messages of a topic, in order of arrival, as a consumer of the broker gets them.
   * Asked again, it begins with the first one again.
   */
  readonly consume: (topic: string, count: number) => Promise<readonly string[]>;
  readonly dispose?: (() => Promise<void>) | undefined;
}

export interface BreakablePublisherUnderTest extends PublisherUnderTest {
  /**
   * Makes the broker unreachable: connections break or go dead, new ones fail. Resolves when that is so, with the way
   * back.
   */
  readonly makeUnreachable: () => Promise<() => Promise<void>>;
}

import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { ignoringUntilAwaited } from '../core/errors.js';
import { dataOf, type StoredEvent } from '../core/event.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import { type ConformanceCase, runOn } from './conformance-case.js';
import { dataIn, newEvents, newTopic } from './publisher-events.js';
import { publisherOutageCases } from './publisher-outage-cases.js';
import type { BreakablePublisherUnderTest, PublisherUnderTest } from './publisher-under-test.js';

export interface PublisherCaseOptions {
  /**
   * Makes a publisher whose broker can be made unreachable. Without it, the cases about outages are left out. Its
   * deadline should be a few seconds at most: a call that takes longer than ten seconds counts as hanging.
   */
  readonly makeBreakable?: (() => Promise<BreakablePublisherUnderTest>) | undefined;
}

/**
 * The conformance suite of {@link EventPublisher}: each rule of the port is a case. `make` is called for each case. The
 * publisher must use the codec `json()` or `cloudEvents()`: messages are compared by their `data`.
 */
export function eventPublisherCases(
  make: () => Promise<PublisherUnderTest>,
  options: PublisherCaseOptions = {},
): readonly ConformanceCase[] {
  const { makeBreakable } = options;
  const healthy = Object.entries(CASES).map(([name, check]) => ({
    name,
    run: () => runOn(make, publisherOf, check),
  }));
  if (makeBreakable === undefined) return healthy;
  const outages = Object.entries(publisherOutageCases).map(([name, check]) => ({
    name,
    run: () => runOn(makeBreakable, publisherOf, check),
  }));
  return [...healthy, ...outages];
}

const publisherOf = ({ publisher }: PublisherUnderTest) => publisher;

const CASES: Record<string, (under: PublisherUnderTest) => Promise<void>> = {
  async 'a published batch reaches a consumer whole and in order'({ publisher, consume }) {
    const topic = newTopic();
    const data = Array.from({ length: 100 }, (_, i) => i);
    await publisher.publish({ sessionId: 'conformance', topic, events: newEvents(topic, data) });
    assert.deepEqual((await consume(topic, 100)).map(dataIn), data);
  },

  async 'overlapping calls for one topic arrive in the order of the calls'({ publisher, consume }) {
    const topic = newTopic();
    const calls = Array.from({ length: 20 }, (_, call) =>
      newEvents(topic, [call * 2, call * 2 + 1], call * 2 + 1),
    );
    await Promise.all(calls.map((events) => publisher.publish({ sessionId: 'conformance', topic, events })));
    assert.deepEqual(
      (await consume(topic, 40)).map(dataIn),
      Array.from({ length: 40 }, (_, i) => i),
    );
  },

  async 'topics do not mix'({ publisher, consume }) {
    const topics = [newTopic(), newTopic(), newTopic()] as const;
    await Promise.all(
      topics.map((topic, i) =>
        publisher.publish({ sessionId: 'conformance', topic, events: newEvents(topic, [i]) }),
      ),
    );
    for (const [i, topic] of topics.entries()) assert.deepEqual((await consume(topic, 1)).map(dataIn), [i]);
  },

  async 'text outside ASCII arrives as it was'({ publisher, consume }) {
    const topic = newTopic();
    const data = ['ü', '😀', '\u2028', '\u0000', '"\\', 'ﬀ'.repeat(1_000), { ключ: '值' }];
    await publisher.publish({ sessionId: 'conformance', topic, events: newEvents(topic, data) });
    assert.deepEqual((await consume(topic, data.length)).map(dataIn), data);
  },

  async 'an event of the largest size it declares goes through'({ publisher, consume }) {
    const topic = newTopic();
    const [probe] = newEvents(topic, ['']) as [StoredEvent];
    const room = publisher.limits.maxEventBytes - Buffer.byteLength(probe.json) - 100;
    const events = newEvents(topic, ['x'.repeat(room), 'small']);
    assert.ok(dataOf((events[0] as StoredEvent).json).length > room, 'the event is as large as may be');
    await publisher.publish({ sessionId: 'conformance', topic, events });
    const [large, small] = (await consume(topic, 2)).map(dataIn);
    assert.equal((large as string).length, room);
    assert.equal(small, 'small');
  },

  async 'a batch of many large events goes through'({ publisher, consume }) {
    const topic = newTopic();
    const data = Array.from({ length: 12 }, (_, i) => `${i}-${'x'.repeat(600_000)}`);
    await publisher.publish({ sessionId: 'conformance', topic, events: newEvents(topic, data) });
    const arrived = (await consume(topic, 12)).map((body) => (dataIn(body) as string).split('-')[0]);
    assert.deepEqual(
      arrived,
      data.map((_, i) => String(i)),
    );
  },

  async 'close waits for what is in flight'({ publisher, consume }) {
    const topic = newTopic();
    const data = [1, 2, 3, 4, 5];
    const calls = data.map((n) =>
      publisher.publish({ sessionId: 'conformance', topic, events: newEvents(topic, [n], n) }),
    );
    const published = ignoringUntilAwaited(Promise.all(calls).then(() => true));
    await publisher.close();
    assert.ok(await Promise.race([published, setImmediate(false)]), 'what was in flight is published');
    assert.deepEqual((await consume(topic, data.length)).map(dataIn), data);
  },

  async 'ping resolves, and close can be repeated'({ publisher }) {
    await publisher.ping();
    await publisher.close();
    await publisher.close();
  },
};

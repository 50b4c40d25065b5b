import { setTimeout as sleep } from 'node:timers/promises';
import { EventSessionsError, memoryPublisher, type PublishBatch } from 'event-sessions';
import { eventPublisherCases } from 'event-sessions/testing';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { newEvent } from '../../../src/testing/store-sessions.js';

describe.each([
  ['at once', undefined],
  ['after a moment', () => sleep(1)],
])('memoryPublisher that publishes %s conforms', (_when, onPublish) => {
  const cases = eventPublisherCases(async () => {
    const publisher = memoryPublisher({ onPublish });
    const consume = async (topic: string) =>
      publisher.published.filter((one) => one.topic === topic).map(({ event }) => JSON.stringify(event));
    return { publisher, consume };
  });
  for (const { name, run } of cases) test(name, run);
});

const batchOf = (topic: string, ...sequences: number[]): PublishBatch => ({
  sessionId: 's-1',
  topic,
  events: sequences.map((sequence) => ({ ...newEvent('s-1', { topic, data: sequence }), sequence })),
});
const batch = (...sequences: number[]) => batchOf('t', ...sequences);

test('published shows topics and whole events, and clear empties it', async () => {
  const publisher = memoryPublisher();
  await publisher.publish(batch(7));
  expect(publisher.published).toMatchObject([
    { topic: 't', event: { specversion: '1.0', data: 7, sequence: '0000000007' } },
  ]);
  publisher.clear();
  expect(publisher.published).toEqual([]);
});

test('G7: it keeps as many events as asked for, the last ones, in whole batches', async () => {
  const publisher = memoryPublisher({ maxEvents: 5 });
  const kept = () => publisher.published.map(({ event }) => event.data);
  await publisher.publish(batch(1, 2));
  await publisher.publish(batch(3, 4));
  expect(kept()).toEqual([1, 2, 3, 4]);
  await publisher.publish(batch(5, 6));
  expect(kept()).toEqual([1, 2, 3, 4, 5, 6]);
  await publisher.publish(batch(7));
  expect(kept()).toEqual([3, 4, 5, 6, 7]);
  await publisher.publish(batch(8, 9, 10, 11, 12, 13));
  expect(kept()).toEqual([8, 9, 10, 11, 12, 13]);
  publisher.clear();
  for (const n of [14, 15, 16, 17, 18]) await publisher.publish(batch(n));
  expect(kept()).toEqual([14, 15, 16, 17, 18]);
});

test('what onPublish throws fails the batch, and the calls behind it', async () => {
  let failing = true;
  const publisher = memoryPublisher({
    onPublish: () => {
      if (failing) throw new Error('no');
    },
  });
  const results = await Promise.allSettled([publisher.publish(batch(1)), publisher.publish(batch(2))]);
  expect(results.map((result) => (result as PromiseRejectedResult).reason.outcome)).toEqual([
    'unknown',
    'not_done',
  ]);
  failing = false;
  await publisher.publish(batch(1));
  await publisher.publish(batch(2));
  expect(publisher.published.map(({ event }) => event.data)).toEqual([1, 2]);
});

test('a call that is made before its caller could hear of the failure before it fails too', async () => {
  const outcomes: unknown[] = [];
  const publisher = memoryPublisher({
    onPublish: ({ events }) => {
      if (events[0]?.sequence === 2) throw new Error('no');
    },
  });
  const late = publisher.publish(batch(1)).then(async () => {
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
    return publisher.publish(batch(3));
  });
  const failed = publisher.publish(batch(2));
  for (const result of await Promise.allSettled([failed, late])) outcomes.push(result.status);
  expect(outcomes).toEqual(['rejected', 'rejected']);
  expect(publisher.published.map(({ event }) => event.data)).toEqual([1]);
});

test('nor does one get through whose turn comes behind a call that is turned away, whatever topic failed', async () => {
  let late: Promise<void> | undefined;
  const publisher = memoryPublisher({
    onPublish: ({ topic }) => {
      if (topic !== 'other') return;
      queueMicrotask(() => {
        late = publisher.publish(batch(3));
      });
      throw new Error('no');
    },
  });
  const outcomes = await Promise.allSettled([
    publisher.publish(batchOf('other', 1)),
    publisher.publish(batch(2)),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(late).rejects.toMatchObject({ code: 'PUBLISH_FAILED', outcome: 'not_done' });
  expect(publisher.published).toEqual([]);
});

test('an error of ours that onPublish throws comes through as it is', async () => {
  const refused = new EventSessionsError('PUBLISH_FAILED', 'never', { outcome: 'refused' });
  const publisher = memoryPublisher({
    onPublish: () => {
      throw refused;
    },
  });
  await expect(publisher.publish(batch(1))).rejects.toBe(refused);
});

test('G7: close does not wait for ever for an onPublish that never ends', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const publisher = memoryPublisher({ onPublish: () => new Promise(() => {}) });
  void publisher.publish(batch(1));
  const closed = publisher.close();
  await vi.advanceTimersByTimeAsync(5_000);
  await closed;
});

import { describe, expect, test } from 'vitest';
import { EventSessionsError } from '../../src/core/errors.js';
import { createMetrics, type Metrics, type MetricsSnapshot } from '../../src/core/metrics.js';

interface Clocked {
  /** `setBy`: how far the clock on the wall has been set, apart from the time that has passed. */
  readonly clock: { now: number; setBy: number };
  readonly metrics: Metrics;
  snapshot(): MetricsSnapshot;
}

function setUp(start = 1_000_000_000_000): Clocked {
  const clock = { now: start, setBy: 0 };
  const metrics = createMetrics('instance-1', {
    now: () => clock.now + clock.setBy,
    elapsed: () => clock.now,
  });
  return { clock, metrics, snapshot: () => metrics.snapshot({ active: undefined, contingency: undefined }) };
}

test('a fresh instance has done nothing, and nothing has failed', () => {
  const { clock, metrics } = setUp();
  clock.now += 1_234;
  const contingency = { records: 1, bytes: 2, oldestAt: 3 };
  expect(metrics.snapshot({ active: 7, contingency })).toEqual({
    at: clock.now,
    instanceId: 'instance-1',
    uptimeMs: 1_234,
    events: {
      added: 0,
      processed: 0,
      published: 0,
      deferred: 0,
      failed: 0,
      recovered: 0,
      successRate: 1,
      perMinute: 0,
    },
    sessions: { active: 7, started: 0, committed: 0, rolledBack: 0, expired: 0 },
    commitDuration: { count: 0, meanMs: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0 },
    failures: {
      SESSION_CORRUPT: 0,
      STORE_UNAVAILABLE: 0,
      PUBLISH_FAILED: 0,
      CONTINGENCY_FAILED: 0,
      UNKNOWN: 0,
    },
    recentFailures: [],
    contingency,
  });
});

test('every count has its own place', () => {
  const { metrics, snapshot } = setUp();
  metrics.eventsAdded(100);
  metrics.eventsPublished(30);
  metrics.eventsDeferred(8);
  metrics.eventsFailed('s-1', 2);
  metrics.eventsRecovered(5);
  metrics.sessionStarted();
  metrics.sessionStarted();
  metrics.sessionStarted();
  metrics.sessionCommitted(1);
  metrics.sessionCommitted(1);
  metrics.sessionRolledBack();
  metrics.sessionExpired();
  metrics.sessionExpired();
  metrics.sessionExpired();
  metrics.sessionExpired();
  const { events, sessions } = snapshot();
  expect(events).toEqual({
    added: 100,
    published: 30,
    deferred: 8,
    failed: 2,
    recovered: 5,
    processed: 40,
    successRate: 0.75,
    perMinute: 40,
  });
  expect(sessions).toEqual({ active: undefined, started: 3, committed: 2, rolledBack: 1, expired: 4 });
});

test('the success rate is 0 when nothing got through', () => {
  const { metrics, snapshot } = setUp();
  metrics.eventsDeferred(1);
  expect(snapshot().events.successRate).toBe(0);
});

describe('events per minute', () => {
  test('slide: each second leaves a minute after it came', () => {
    const { clock, metrics, snapshot } = setUp();
    const perMinute = () => snapshot().events.perMinute;
    metrics.eventsPublished(10);
    clock.now += 30_000;
    metrics.eventsDeferred(5);
    metrics.eventsFailed('s-1', 1);
    expect(perMinute()).toBe(16);
    clock.now += 29_000;
    expect(perMinute()).toBe(16);
    clock.now += 1_000;
    expect(perMinute()).toBe(6);
    clock.now += 30_000;
    expect(perMinute()).toBe(0);
    metrics.eventsPublished(3);
    expect(perMinute()).toBe(3);
  });

  test('do not come back after a long pause, whatever its length', () => {
    for (const pause of [60_000, 61_000, 119_000, 3_600_000, 86_400_000_000]) {
      const { clock, metrics, snapshot } = setUp();
      metrics.eventsPublished(10);
      clock.now += pause;
      expect(snapshot().events.perMinute).toBe(0);
    }
  });

  test('add up to what a steady stream has in a minute', () => {
    const { clock, metrics, snapshot } = setUp();
    for (let second = 0; second < 300; second += 1) {
      metrics.eventsPublished(7);
      clock.now += 1_000;
    }
    clock.now -= 1;
    expect(snapshot().events.perMinute).toBe(420);
  });

  test.each([-3_600_000, 3_600_000])(
    'and uptime go by the time that passes, when the clock is set by %i ms',
    (ms) => {
      const { clock, metrics, snapshot } = setUp();
      metrics.eventsPublished(10);
      clock.setBy = ms;
      metrics.eventsPublished(1);
      expect(snapshot().events.perMinute).toBe(11);
      clock.now += 60_000;
      metrics.eventsPublished(2);
      expect(snapshot()).toMatchObject({ at: clock.now + ms, uptimeMs: 60_000, events: { perMinute: 2 } });
    },
  );

  test('count what is tried again once, and hide no others behind it', () => {
    const { clock, metrics, snapshot } = setUp();
    metrics.eventsFailed('s-1', 100);
    clock.now += 30_000;
    metrics.eventsTriedAgain('s-1');
    metrics.eventsFailed('s-1', 100);
    expect(snapshot().events.perMinute).toBe(100);
    clock.now += 120_000;
    metrics.eventsPublished(7);
    metrics.eventsTriedAgain('s-1');
    expect(snapshot().events.perMinute).toBe(7);
    metrics.eventsPublished(100);
    expect(snapshot().events.perMinute).toBe(107);
  });
});

test('what two attempts of one session have left is counted once', () => {
  const { metrics, snapshot } = setUp();
  metrics.eventsFailed('s-1', 5);
  metrics.eventsFailed('s-1', 3);
  expect(snapshot().events.failed).toBe(3);
  metrics.eventsTriedAgain('s-1');
  expect(snapshot().events.failed).toBe(0);
});

describe('commit durations', () => {
  test('have mean and percentiles, to three significant digits', () => {
    const { metrics, snapshot } = setUp();
    for (let ms = 1; ms <= 1_000; ms += 1) metrics.sessionCommitted(ms);
    const { count, meanMs, p50Ms, p95Ms, p99Ms } = snapshot().commitDuration;
    expect(count).toBe(1_000);
    const within = (actual: number, expected: number) => {
      expect(Math.abs(actual - expected) / expected).toBeLessThan(0.002);
    };
    within(meanMs, 500.5);
    within(p50Ms, 500);
    within(p95Ms, 950);
    within(p99Ms, 990);
  });

  test('of less than a microsecond and of an hour fit', () => {
    const { metrics, snapshot } = setUp();
    metrics.sessionCommitted(0);
    metrics.sessionCommitted(3_600_000);
    const { count, p50Ms, p99Ms } = snapshot().commitDuration;
    expect(count).toBe(2);
    expect(p50Ms).toBe(0.001);
    expect(p99Ms / 3_600_000).toBeCloseTo(1, 2);
  });
});

test('failures are counted by code, and what is no failure of ours is unknown', () => {
  const { metrics, snapshot } = setUp();
  for (let i = 0; i < 60; i += 1)
    metrics.failure('op', 's-1', new EventSessionsError('PUBLISH_FAILED', 'no'));
  metrics.failure('op', 's-1', new EventSessionsError('STORE_UNAVAILABLE', 'no'));
  metrics.failure('op', 's-1', new TypeError('no'));
  const before = snapshot().failures;
  expect(before).toMatchObject({
    PUBLISH_FAILED: 60,
    STORE_UNAVAILABLE: 1,
    UNKNOWN: 1,
    CONTINGENCY_FAILED: 0,
  });
  metrics.failure('op', 's-1', undefined);
  expect([before.UNKNOWN, snapshot().failures.UNKNOWN]).toEqual([1, 2]);
});

describe('recent failures', () => {
  test('carry time, operation, session, code, message and cause', () => {
    const { clock, metrics, snapshot } = setUp();
    const cause = new Error('ECONNRESET');
    metrics.failure('addEvents', 's-1', new EventSessionsError('STORE_UNAVAILABLE', 'cut off', {}, cause));
    clock.now += 5;
    metrics.failure('recover', undefined, 'just text');
    expect(snapshot().recentFailures).toEqual([
      {
        at: clock.now - 5,
        operation: 'addEvents',
        sessionId: 's-1',
        code: 'STORE_UNAVAILABLE',
        message: 'cut off',
        cause: 'ECONNRESET',
      },
      {
        at: clock.now,
        operation: 'recover',
        sessionId: undefined,
        code: 'UNKNOWN',
        message: 'just text',
        cause: undefined,
      },
    ]);
  });

  test('are the last 50, newest last', () => {
    const { metrics, snapshot } = setUp();
    for (let i = 1; i <= 75; i += 1) metrics.failure('op', `s-${i}`, new Error());
    const failures = snapshot().recentFailures;
    expect(failures).toHaveLength(50);
    expect([failures[0]?.sessionId, failures[49]?.sessionId]).toEqual(['s-26', 's-75']);
  });

  test('in a snapshot stay as they were', () => {
    const { metrics, snapshot } = setUp();
    metrics.failure('op', 's-1', new Error());
    const before = snapshot();
    metrics.failure('op', 's-2', new Error());
    expect(before.recentFailures).toHaveLength(1);
  });

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['an object without a prototype', Object.create(null)],
    [
      'an error that throws when its cause is asked for',
      Object.defineProperty(new Error('no'), 'cause', {
        get() {
          throw new Error('no');
        },
      }),
    ],
    ['an error with such a cause', new Error('no', { cause: Object.create(null) })],
  ])('take %s, and never throw', (_, thrown) => {
    const { metrics, snapshot } = setUp();
    metrics.failure('op', 's-1', thrown);
    expect(snapshot().recentFailures).toMatchObject([{ operation: 'op', code: 'UNKNOWN' }]);
  });
});

test('what is done to a snapshot changes no other, nor what others see in it', () => {
  const { metrics, snapshot } = setUp();
  metrics.failure('append', 's-1', new Error('boom'));
  const contingency = { records: 1, bytes: 2, oldestAt: 3 };
  const first = metrics.snapshot({ active: 7, contingency });
  for (const part of [first, first.events, first.failures, first.recentFailures, first.recentFailures[0]])
    expect(() => Object.assign(part as object, { at: 0 })).toThrow(TypeError);
  expect(snapshot().recentFailures).toEqual(first.recentFailures);
  // It is the log's.
  expect(Object.isFrozen(contingency)).toBe(false);
});

import { describe, expect, test } from 'vitest';
import { asProbe, type CircuitBreaker, createCircuitBreaker } from '../../src/core/circuit-breaker.js';

interface Clocked {
  readonly clock: { now: number };
  readonly breaker: CircuitBreaker;
  /** What the breaker told, in order. */
  readonly told: unknown[];
  fail(times: number): void;
}

function setUp(): Clocked {
  const clock = { now: 1_000 };
  const told: unknown[] = [];
  const breaker = createCircuitBreaker({
    failures: 3,
    probeAfterMs: 5_000,
    onDegraded: (cause) => told.push(['degraded', cause]),
    onRestored: (downMs) => told.push(['restored', downMs]),
    now: () => clock.now,
  });
  const fail = (times: number) => {
    for (let i = 1; i <= times; i += 1) breaker.failed(`cause ${i}`);
  };
  return { clock, breaker, told, fail };
}

describe('closed', () => {
  test('it lets everything through and tells nothing', () => {
    const { breaker, told } = setUp();
    for (let i = 0; i < 10; i += 1) {
      expect(breaker.allows()).toBe(true);
      breaker.succeeded();
    }
    expect(breaker.open).toBe(false);
    expect(told).toEqual([]);
  });

  test('failures short of the limit tell degraded once, with the first cause, and keep it closed', () => {
    const { breaker, told, fail } = setUp();
    fail(2);
    expect(breaker.open).toBe(false);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([['degraded', 'cause 1']]);
  });

  test('a success in between starts the count anew', () => {
    const { clock, breaker, told, fail } = setUp();
    fail(2);
    clock.now += 70;
    breaker.succeeded();
    fail(2);
    expect(breaker.open).toBe(false);
    expect(told).toEqual([
      ['degraded', 'cause 1'],
      ['restored', 70],
      ['degraded', 'cause 1'],
    ]);
  });
});

describe('open', () => {
  test('after the failures in a row it keeps everybody away until the probe is due', () => {
    const { clock, breaker, fail } = setUp();
    fail(3);
    expect(breaker.open).toBe(true);
    expect(breaker.allows()).toBe(false);
    clock.now += 4_999;
    expect(breaker.allows()).toBe(false);
  });

  test('failures of calls that were under way push the probe back', () => {
    const { clock, breaker, fail } = setUp();
    fail(3);
    clock.now += 4_000;
    fail(1);
    clock.now += 4_999;
    expect(breaker.allows()).toBe(false);
    clock.now += 1;
    expect(breaker.allows()).toBe(true);
  });

  test('a success of a call that was under way closes it', () => {
    const { breaker, told, fail } = setUp();
    fail(5);
    breaker.succeeded();
    expect(breaker.open).toBe(false);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([
      ['degraded', 'cause 1'],
      ['restored', 0],
    ]);
  });
});

describe('half-open', () => {
  test('one call may try, and no second one', () => {
    const { clock, breaker, fail } = setUp();
    fail(3);
    clock.now += 5_000;
    expect([breaker.allows(), breaker.allows(), breaker.allows()]).toEqual([true, false, false]);
    expect(breaker.open).toBe(true);
  });

  test('its success closes the breaker, and tells for how long it was down', () => {
    const { clock, breaker, told, fail } = setUp();
    fail(3);
    clock.now += 5_000;
    breaker.allows();
    clock.now += 10;
    breaker.succeeded();
    expect(breaker.open).toBe(false);
    expect([breaker.allows(), breaker.allows()]).toEqual([true, true]);
    expect(told.at(-1)).toEqual(['restored', 5_010]);
  });

  test('its failure opens it for another while, and tells nothing new', () => {
    const { clock, breaker, told, fail } = setUp();
    fail(3);
    clock.now += 5_000;
    breaker.allows();
    fail(1);
    clock.now += 4_999;
    expect(breaker.allows()).toBe(false);
    clock.now += 1;
    expect(breaker.allows()).toBe(true);
    expect(told).toHaveLength(1);
  });

  test('a probe that never reports is replaced after the same while', () => {
    const { clock, breaker, fail } = setUp();
    fail(3);
    clock.now += 5_000;
    expect(breaker.allows()).toBe(true);
    clock.now += 4_999;
    expect(breaker.allows()).toBe(false);
    clock.now += 1;
    expect(breaker.allows()).toBe(true);
  });
});

test('a caller that is itself the probe is always let through, and what it finds counts for all', () => {
  const { breaker, told, fail } = setUp();
  fail(3);
  const probe = asProbe(breaker);
  expect([probe.open, probe.allows(), probe.allows(), breaker.allows()]).toEqual([true, true, true, false]);
  probe.failed('still down');
  expect(breaker.open).toBe(true);
  probe.succeeded();
  expect([probe.open, breaker.open, breaker.allows()]).toEqual([false, false, true]);
  expect(told).toHaveLength(2);
});

test('without a clock of its own it goes by a monotonic one', () => {
  const breaker = createCircuitBreaker({
    failures: 1,
    probeAfterMs: 3_600_000,
    onDegraded() {},
    onRestored() {},
  });
  breaker.failed('no');
  expect(breaker.allows()).toBe(false);
});

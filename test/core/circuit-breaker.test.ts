import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { asProbe, type CircuitBreaker, createCircuitBreaker } from '../../src/core/circuit-breaker.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Setup {
  readonly breaker: CircuitBreaker;
  readonly probes: { works: boolean | Promise<never>; count: number };
  readonly closing: AbortController;
  /** What the breaker told, in order. */
  readonly told: unknown[];
  fail(times: number): void;
}

function setUp(): Setup {
  const probes: Setup['probes'] = { works: false, count: 0 };
  const closing = new AbortController();
  const told: unknown[] = [];
  const breaker = createCircuitBreaker({
    failures: 3,
    probe: async () => {
      probes.count += 1;
      if (!(await probes.works)) throw new Error('still down');
    },
    probeAfterMs: 5_000,
    closing: closing.signal,
    onDegraded: (cause) => told.push(['degraded', cause]),
    onRestored: (downMs) => told.push(['restored', downMs]),
  });
  const fail = (times: number) => {
    for (let i = 1; i <= times; i += 1) breaker.failed(`cause ${i}`);
  };
  return { breaker, probes, closing, told, fail };
}

test('the last failure is told until a call has worked, by a probe as well', () => {
  const { breaker, fail } = setUp();
  expect(breaker.lastFailure).toBeUndefined();
  fail(4);
  expect(breaker.lastFailure).toBe('cause 4');
  expect(asProbe(breaker).lastFailure).toBe('cause 4');
  breaker.succeeded();
  expect(breaker.lastFailure).toBeUndefined();
});

describe('closed', () => {
  test('it lets everything through and tells nothing', () => {
    const { breaker, told } = setUp();
    for (let i = 0; i < 10; i += 1) {
      expect(breaker.allows()).toBe(true);
      breaker.succeeded();
    }
    expect(breaker.down).toBe(false);
    expect(told).toEqual([]);
  });

  test('failures short of the limit tell degraded once, with the first cause, and keep it closed', async () => {
    const { breaker, probes, told, fail } = setUp();
    fail(2);
    expect(breaker.down).toBe(false);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([['degraded', 'cause 1']]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(probes.count).toBe(0);
  });

  test('a success in between starts the count anew', () => {
    const { breaker, told, fail } = setUp();
    fail(2);
    vi.advanceTimersByTime(70);
    breaker.succeeded();
    fail(2);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([
      ['degraded', 'cause 1'],
      ['restored', 70],
      ['degraded', 'cause 1'],
    ]);
  });
});

describe('open', () => {
  test('after the failures in a row it keeps everybody away, as long as its probes fail', async () => {
    const { breaker, probes, told, fail } = setUp();
    fail(3);
    expect(breaker.allows()).toBe(false);
    await vi.advanceTimersByTimeAsync(0);
    for (const count of [1, 2, 3, 4]) {
      expect([breaker.down, breaker.allows()]).toEqual([true, false]);
      expect(probes.count).toBe(count);
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(told).toEqual([['degraded', 'cause 1']]);
  });

  test('what it keeps away is not known to be down before the first probe has failed', async () => {
    const { breaker, probes, fail } = setUp();
    const { promise, reject } = withRejection();
    probes.works = promise;
    fail(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([breaker.down, breaker.allows()]).toEqual([false, false]);
    reject();
    await vi.advanceTimersByTimeAsync(0);
    expect([breaker.down, breaker.allows()]).toEqual([true, false]);
  });

  test('calls may try again as soon as the first probe has worked', async () => {
    const { breaker, probes, fail } = setUp();
    probes.works = true;
    fail(5);
    await vi.advanceTimersByTimeAsync(0);
    expect([breaker.down, breaker.allows()]).toEqual([false, true]);
    // The probe was wrong: the next one looks no sooner than after the pause.
    fail(1);
    expect([breaker.down, breaker.allows()]).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(probes.count).toBe(1);
  });

  test('nobody gets through while a probe is on its way, and there is no second one', async () => {
    const { breaker, probes, fail } = setUp();
    fail(3);
    probes.works = new Promise(() => {});
    await vi.advanceTimersByTimeAsync(60_000);
    expect(breaker.allows()).toBe(false);
    expect(probes.count).toBe(1);
  });

  test('failures of calls that were under way change nothing', async () => {
    const { breaker, probes, fail } = setUp();
    fail(3);
    await vi.advanceTimersByTimeAsync(4_000);
    fail(2);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(probes.count).toBe(2);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(probes.count).toBe(3);
    expect(breaker.down).toBe(true);
  });

  test('a success of a call that was under way closes it, and ends the probing', async () => {
    const { breaker, probes, told, fail } = setUp();
    fail(5);
    breaker.succeeded();
    expect(breaker.down).toBe(false);
    expect(breaker.allows()).toBe(true);
    expect(told).toEqual([
      ['degraded', 'cause 1'],
      ['restored', 0],
    ]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(probes.count).toBe(0);
  });

  test('closing ends the probing', async () => {
    const { probes, closing, fail } = setUp();
    fail(3);
    closing.abort();
    fail(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(probes.count).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('half-open, when the probe has worked', () => {
  async function halfOpen() {
    const all = setUp();
    all.fail(3);
    await vi.advanceTimersByTimeAsync(0);
    all.probes.works = true;
    await vi.advanceTimersByTimeAsync(5_000);
    return all;
  }

  test('calls may try, and nothing is told yet', async () => {
    const { breaker, told } = await halfOpen();
    expect([breaker.down, breaker.allows(), breaker.allows()]).toEqual([false, true, true]);
    expect(told).toEqual([['degraded', 'cause 1']]);
  });

  test('the first success closes the breaker, and tells for how long it was down', async () => {
    const { breaker, told, fail } = await halfOpen();
    vi.advanceTimersByTime(10);
    breaker.succeeded();
    expect(told.at(-1)).toEqual(['restored', 5_010]);
    fail(2);
    expect(breaker.allows()).toBe(true);
  });

  test('the first failure opens it for another while, and tells nothing new', async () => {
    const { breaker, probes, told, fail } = await halfOpen();
    fail(1);
    expect([breaker.down, breaker.allows()]).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(probes.count).toBe(3);
    expect(breaker.allows()).toBe(true);
    expect(told).toHaveLength(1);
  });
});

test('a caller that is itself a probe is always let through, and what it finds counts for all', async () => {
  const { breaker, told, fail } = setUp();
  fail(3);
  await vi.advanceTimersByTimeAsync(0);
  const probe = asProbe(breaker);
  expect([probe.down, probe.allows(), probe.allows(), breaker.allows()]).toEqual([true, true, true, false]);
  probe.failed('still down');
  expect(breaker.down).toBe(true);
  probe.succeeded();
  expect([probe.down, breaker.down, breaker.allows()]).toEqual([false, false, true]);
  expect(told).toHaveLength(2);
});

function withRejection(): { readonly promise: Promise<never>; reject(): void } {
  let reject = () => {};
  const promise = new Promise<never>((_, rejectIt) => {
    reject = () => rejectIt(new Error('still down'));
  });
  return { promise, reject: () => reject() };
}

import { EventSessionsError, isEventSessionsError, isSystemFailure } from './core/errors.js';
import type { Metrics } from './core/metrics.js';
import { MAX_TIMER_MS, sessionIdOf } from './core/validate.js';
import { within } from './core/within.js';

/** The life of one `EventSessions`: its calls under way, its timers, its end. */
export interface Instance {
  /** Aborts when closing begins. */
  readonly closing: AbortSignal;
  /** Aborts when closing no longer waits: calls still under way are on their own then. */
  readonly over: AbortSignal;
  /**
   * Wraps a call: it counts as under way, its failures are counted by name, and once closing has begun it is refused
   * with `CLOSED`.
   */
  command<A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>): (...args: A) => Promise<R>;
  /**
   * Repeats the work, for the first time after `firstMs` (the interval when not given), with ± 20 % of jitter so that
   * instances spread. Holds no process open.
   */
  every(intervalMs: number, work: () => Promise<void>, firstMs?: number): void;
  /**
   * Waits for the calls under way, but no longer than `timeoutMs`, then calls `release` with the number of those that
   * it no longer waits for. Calling it again waits for the same end.
   */
  close(timeoutMs: number, release: (abandoned: number) => Promise<void>): Promise<void>;
}

export function createInstance(metrics: Metrics): Instance {
  const closing = new AbortController();
  const over = new AbortController();
  let underWay = 0;
  let whenIdle = () => {};
  const timers = new Set<NodeJS.Timeout>();
  let closed: Promise<void> | undefined;

  async function counted<R>(name: string, input: unknown, call: () => Promise<R>): Promise<R> {
    if (closed !== undefined) throw new EventSessionsError('CLOSED', 'Nothing can be called after close()');
    underWay += 1;
    try {
      return await call();
    } catch (error) {
      const isFailure = !isEventSessionsError(error) || isSystemFailure(error);
      if (isFailure && !isAbort(input, error)) metrics.failure(name, sessionIdOf(input), error);
      throw error;
    } finally {
      underWay -= 1;
      if (underWay === 0) whenIdle();
    }
  }

  return {
    closing: closing.signal,
    over: over.signal,

    command:
      (name, call) =>
      (...args) =>
        counted(name, args[0], () => call(...args)),

    every(intervalMs, work, firstMs = intervalMs) {
      const next = (afterMs: number) => {
        if (closed !== undefined) return;
        const timer = setTimeout(
          async () => {
            timers.delete(timer);
            await work().catch(() => {});
            next(intervalMs);
          },
          Math.min(afterMs * (0.8 + Math.random() * 0.4), MAX_TIMER_MS),
        );
        timer.unref();
        timers.add(timer);
      };
      next(firstMs);
    },

    close(timeoutMs, release) {
      closed ??= (async () => {
        closing.abort();
        for (const timer of timers) clearTimeout(timer);
        const idle = new Promise<void>((resolve) => {
          whenIdle = resolve;
          if (underWay === 0) resolve();
        });
        await within(timeoutMs, idle).catch(() => {});
        // So the callers have their results before the adapters are closed.
        await new Promise((resolve) => setImmediate(resolve));
        over.abort();
        await release(underWay);
      })();
      return closed;
    },
  };
}

/** Whether the call was ended by the signal in its own input. Never throws. */
function isAbort(input: unknown, error: unknown): boolean {
  try {
    const { signal } = input as { signal?: AbortSignal };
    return signal?.aborted === true && signal.reason === error;
  } catch {
    return false;
  }
}

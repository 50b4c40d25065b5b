import { EventSessionsError, isEventSessionsError, isSystemFailure } from './core/errors.js';
import type { Metrics } from './core/metrics.js';
import { MAX_TIMER_MS, sessionIdOf } from './core/validate.js';

/** The life of one `EventSessions`: what is under way in it, its timers, its end. */
export interface Instance {
  /** Aborts when closing begins. */
  readonly closing: AbortSignal;
  /** Aborts when closing waits no longer: what is still under way then is on its own. */
  readonly over: AbortSignal;
  /** The call, counted as under way; refused with `CLOSED` after closing has begun. */
  command<A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>): (...args: A) => Promise<R>;
  /**
   * Repeats the work, for the first time after `firstMs` (the interval when not given), with ± 20 % of jitter so that
   * instances spread. Holds no process open.
   */
  every(intervalMs: number, work: () => Promise<void>, firstMs?: number): void;
  /** Waits for the calls under way, but no longer than `timeoutMs`; answers how many it gave up. */
  close(timeoutMs: number, release: (givenUp: number) => Promise<void>): Promise<void>;
}

export function createInstance(metrics: Metrics): Instance {
  const controller = new AbortController();
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
    closing: controller.signal,
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
        controller.abort();
        for (const timer of timers) clearTimeout(timer);
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, timeoutMs);
        });
        const idle = new Promise<void>((resolve) => {
          whenIdle = resolve;
          if (underWay === 0) resolve();
        });
        await Promise.race([idle, late]);
        clearTimeout(timer);
        // Whoever called hears of it before the adapters are gone.
        await new Promise((resolve) => setImmediate(resolve));
        over.abort();
        await release(underWay);
      })();
      return closed;
    },
  };
}

/** Whether the input's own signal is what ended the call. Never throws. */
function isAbort(input: unknown, error: unknown): boolean {
  try {
    const { signal } = input as { signal?: AbortSignal };
    return signal?.aborted === true && signal.reason === error;
  } catch {
    return false;
  }
}

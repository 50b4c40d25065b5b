/**
 * Keeps calls away from something that is down, so that nobody waits for it in vain. A probe in the background, for
 * which nobody waits either, finds out whether it is back. The first probe runs at once: all the failures may be due to
 * a single lost connection.
 *
 * ```text
 *   closed ──`failures` in a row──► open ──the probe, at once, then every `probeAfterMs`, works──► half-open: calls may try
 *     ▲                              ▲                                                                  │       │
 *     └──────── one worked ──────────┼──────────────────────────────────────────────────────────────────┘       │
 *                                    └────────────────── one failed: as if a probe had ─────────────────────────┘
 * ```
 */
export interface CircuitBreaker {
  /** Whether a call may be made now. Whoever makes it must report its result. */
  allows(): boolean;
  succeeded(): void;
  failed(cause: unknown): void;
  /** The last failure since a call has worked: why calls are kept away. */
  readonly lastFailure: unknown;
  /** Open, and a probe has failed: a short wait will not help. */
  readonly down: boolean;
}

/** The same breaker for a caller that is itself a probe: its calls are always allowed, and their results count. */
export function asProbe(breaker: CircuitBreaker): CircuitBreaker {
  return {
    get down() {
      return breaker.down;
    },
    get lastFailure() {
      return breaker.lastFailure;
    },
    allows: () => true,
    succeeded: () => breaker.succeeded(),
    failed: (cause) => breaker.failed(cause),
  };
}

export interface CircuitBreakerConfig {
  /** Failures in a row until it opens. */
  readonly failures: number;
  /** Resolves when a call would work again. It has a deadline of its own. */
  readonly probe: () => Promise<unknown>;
  readonly probeAfterMs: number;
  /** Ends the probing. */
  readonly closing: AbortSignal;
  /** Called at the first failure after a success. */
  readonly onDegraded: (cause: unknown) => void;
  /** Called at the first success after a failure, with the time since `onDegraded`. */
  readonly onRestored: (downMs: number) => void;
}

export function createCircuitBreaker(config: CircuitBreakerConfig): CircuitBreaker {
  const { closing, probe, probeAfterMs } = config;
  let failures = 0;
  let lastFailure: unknown;
  let degradedAt: number | undefined;
  let nextProbe: NodeJS.Timeout | undefined;
  /** Whether a probe has run since it opened. */
  let probed = false;

  const isOpen = () => failures >= config.failures;
  closing.addEventListener('abort', () => clearTimeout(nextProbe), { once: true });

  function probeLater(): void {
    if (closing.aborted) return;
    nextProbe ??= setTimeout(
      async () => {
        const works = isOpen() && (await isWorking());
        nextProbe = undefined;
        if (!isOpen()) return;
        probed = true;
        if (works) failures = config.failures - 1;
        else probeLater();
      },
      probed ? probeAfterMs : 0,
    ).unref();
  }

  async function isWorking(): Promise<boolean> {
    try {
      await probe();
      return true;
    } catch {
      return false;
    }
  }

  return {
    get down() {
      return isOpen() && probed;
    },
    get lastFailure() {
      return lastFailure;
    },
    allows: () => !isOpen(),
    succeeded() {
      failures = 0;
      lastFailure = undefined;
      probed = false;
      if (degradedAt === undefined) return;
      config.onRestored(performance.now() - degradedAt);
      degradedAt = undefined;
    },
    failed(cause) {
      failures += 1;
      lastFailure = cause;
      if (isOpen()) probeLater();
      if (degradedAt !== undefined) return;
      degradedAt = performance.now();
      config.onDegraded(cause);
    },
  };
}

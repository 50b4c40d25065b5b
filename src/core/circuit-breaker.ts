/**
 * Keeps calls away from something that is down, so that nobody waits for it in vain.
 *
 * ```text
 *   closed ──`failures` in a row──► open ──`probeAfterMs` later──► half-open: one call may try
 *     ▲                              ▲                                │            │
 *     └────────── it worked ─────────┼────────────────────────────────┘            │
 *                                    └──────────────── it failed ──────────────────┘
 * ```
 */
export interface CircuitBreaker {
  /** Whether a call may be made now. In half-open state true for one caller, who must report how it went. */
  allows(): boolean;
  succeeded(): void;
  failed(cause: unknown): void;
  readonly open: boolean;
}

/** The same breaker for a caller that is itself the probe: always allowed, and its results count. */
export function asProbe(breaker: CircuitBreaker): CircuitBreaker {
  return {
    get open() {
      return breaker.open;
    },
    allows: () => true,
    succeeded: () => breaker.succeeded(),
    failed: (cause) => breaker.failed(cause),
  };
}

export interface CircuitBreakerConfig {
  /** Failures in a row until it opens. */
  readonly failures: number;
  readonly probeAfterMs: number;
  /** Called at the first failure after a success. */
  readonly onDegraded: (cause: unknown) => void;
  /** Called at the first success after a failure, with the time since `onDegraded`. */
  readonly onRestored: (downMs: number) => void;
  readonly now?: () => number;
}

export function createCircuitBreaker(config: CircuitBreakerConfig): CircuitBreaker {
  const now = config.now ?? (() => performance.now());
  let failures = 0;
  let degradedAt = 0;
  let probeAt = 0;

  return {
    get open() {
      return failures >= config.failures;
    },
    allows() {
      if (failures < config.failures) return true;
      if (now() < probeAt) return false;
      probeAt = now() + config.probeAfterMs;
      return true;
    },
    succeeded() {
      if (failures === 0) return;
      failures = 0;
      config.onRestored(now() - degradedAt);
    },
    failed(cause) {
      failures += 1;
      if (failures >= config.failures) probeAt = now() + config.probeAfterMs;
      if (failures > 1) return;
      degradedAt = now();
      config.onDegraded(cause);
    },
  };
}

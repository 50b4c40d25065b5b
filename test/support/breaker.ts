import { type CircuitBreaker, createCircuitBreaker } from '../../src/core/circuit-breaker.js';

/** One that opens after so many failures in a row, tells nobody, and does not find out when things are back. */
export function breakerAfter(failures: number): CircuitBreaker {
  return createCircuitBreaker({
    failures,
    probe: async () => {},
    probeAfterMs: 1,
    closing: AbortSignal.abort(),
    onDegraded() {},
    onRestored() {},
  });
}

import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryPolicy {
  /** Attempts after the first one. */
  readonly retries: number;
  /** Wait before the first retry, doubled for each further one. */
  readonly backoffMs: number;
}

/**
 * Milliseconds before retry `n`, from 1: doubled each time, less up to half of it at random, so that instances spread.
 */
export function backoffDelay(policy: RetryPolicy, n: number): number {
  const full = Math.min(policy.backoffMs * 2 ** (n - 1), 60_000);
  return full / 2 + (Math.random() * full) / 2;
}

/** Resolves early when the signal aborts. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

import { vi } from 'vitest';

/** Waits until the assertion holds, however slow the machine is: `vi.waitFor` gives up after one second. */
export function waitFor(assertion: () => unknown, intervalMs = 50): Promise<unknown> {
  return vi.waitFor(assertion, { timeout: 60_000, interval: intervalMs });
}

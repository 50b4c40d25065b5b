/** A side that did not do its work must not win. */
export function expectCount(actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${actual} instead of ${expected} events`);
}

/** The same bytes, but for the digits of lengths and the like. */
export function expectAbout(actual: number, expected: number, what: string): void {
  if (Math.abs(actual - expected) > expected * 0.03) {
    throw new Error(`${what}: ${actual} bytes on one side, ${expected} on the other`);
  }
}

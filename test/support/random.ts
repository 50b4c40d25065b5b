/** Numbers from 0 up to 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * The seed of what draws at random: from the environment, or a new one each time. In CI it is always the same, so that a
 * failure there comes from the change; what other seeds find is found by whoever runs the tests.
 */
export function seedFrom(variable: 'MODEL_SEED' | 'FUZZ_SEED' | 'TEST_SEED'): number {
  return Number(process.env[variable] ?? (process.env.CI ? 1 : Date.now() % 1_000_000_000));
}

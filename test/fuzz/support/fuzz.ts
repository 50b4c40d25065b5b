import { randomFrom, seedFrom } from '../../support/random.js';

const SEED = seedFrom('FUZZ_SEED');
/** To fuzz for longer: `FUZZ_TIMES=20 npx vitest run test/fuzz --testTimeout 600000`. */
const TIMES = Number(process.env.FUZZ_TIMES ?? 1);

/** Where every decision of a run comes from. */
export interface Chance {
  /** A whole number from 0 up to this one, without it. */
  below(bound: number): number;
  /** True so often, of 1. */
  happens(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
  /** Up to so many. */
  some<T>(atMost: number, make: () => T): T[];
}

function chanceFrom(seed: number): Chance {
  const random = randomFrom(seed);
  const below = (bound: number) => Math.floor(random() * bound);
  return {
    below,
    happens: (probability) => random() < probability,
    pick: <T>(values: readonly T[]) => values[below(values.length)] as T,
    some: (atMost, make) => Array.from({ length: below(atMost + 1) }, make),
  };
}

/** Runs until the time is over, once at least. What fails is named by the seed that repeats it in the first run. */
export async function fuzz(
  what: string,
  seconds: number,
  run: (chance: Chance) => void | Promise<void>,
): Promise<void> {
  const until = performance.now() + seconds * TIMES * 1_000;
  let runs = 0;
  do {
    const seed = SEED + runs;
    try {
      await run(chanceFrom(seed));
    } catch (error) {
      throw new Error(`fuzz ${what}: FUZZ_SEED=${seed} fails at once`, { cause: error });
    }
    runs += 1;
  } while (performance.now() < until);
  console.log(`fuzz ${what}: ${runs} runs from seed ${SEED} (FUZZ_SEED) on`);
}

import { mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

/** A fault at every point of every border: some minutes of work, so it is a run of its own. */
export default mergeConfig(config, {
  test: { include: ['test/faults/**/*.test.ts'] },
});

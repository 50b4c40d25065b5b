import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import config from './vitest.config.js';

/** A fault at every point of every border: minutes of work, so it is a run of its own. */
export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ['test/faults/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    // Here nobody waits: each case starts a process.
    maxWorkers: Math.min(4, availableParallelism()),
  },
});

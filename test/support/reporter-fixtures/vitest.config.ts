import { defineConfig } from 'vitest/config';

/** Files that fail in every way, each run on its own by ../reporter.test.ts. */
export default defineConfig({
  test: {
    include: ['*.fixture.ts'],
    reporters: ['../reporter.ts'],
    globalSetup: ['./global-setup.ts'],
    pool: 'forks',
  },
});

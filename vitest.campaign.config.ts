import { defineConfig } from 'vitest/config';
import own from './vitest.config.js';

/** Fault campaigns on real servers: minutes, and each takes the machine for itself. `npm run test:campaign`. */
export default defineConfig({
  resolve: own.resolve ?? {},
  test: {
    include: ['test/campaign/**/*.campaign.ts'],
    globalSetup: ['test/campaign/global-setup.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 300_000,
  },
});

import { defineConfig } from 'vitest/config';
import own from './vitest.config.js';

/** Fault campaigns on real servers: minutes, most of which they wait for what was broken. `npm run test:campaign`. */
export default defineConfig({
  resolve: own.resolve ?? {},
  test: {
    include: ['test/campaign/**/*.campaign.ts'],
    globalSetup: ['test/campaign/global-setup.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 300_000,
  },
});

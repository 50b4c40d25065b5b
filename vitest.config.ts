import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { entryPoints } from './entry-points.js';

export default defineConfig({
  resolve: {
    alias: Object.entries(entryPoints).map(([name, source]) => ({
      find: new RegExp(`^${name}$`),
      replacement: source,
    })),
  },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    // On their own: the tarball after a build (vitest.package.config.ts), and the fault points (vitest.faults.config.ts).
    exclude: ['**/node_modules/**', 'test/package/**', 'test/faults/**'],
    environment: 'node',
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    pool: 'forks',
    // Modules are evaluated once for each worker, which is much faster. So a test closes what it has opened,
    // modules that several files import register no hooks, and a file that mocks a module undoes it.
    isolate: false,
    // One more than there are processors, since tests wait for a third of their time; not more, since each shares the
    // machine with redis-servers, nsqd and the processes that tests kill.
    maxWorkers: Math.min(4, availableParallelism() + 1),
    // However slow the machine: it only ends what hangs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text', 'html'] },
  },
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

/** The worker in one file, so that it starts in a tenth of a second. */
export async function bundleWorker(): Promise<{ readonly script: string; remove(): Promise<void> }> {
  const outDir = await mkdtemp(join(tmpdir(), 'event-sessions-faults-'));
  await build({
    entry: [fileURLToPath(new URL('./worker.ts', import.meta.url))],
    outDir,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    noExternal: [/./],
    esbuildOptions(options) {
      // nsqjs asks for it and can do without.
      options.external = ['snappystream'];
    },
    config: false,
    silent: true,
    clean: false,
  });
  return {
    script: join(outDir, 'worker.cjs'),
    remove: () => rm(outDir, { recursive: true, force: true }),
  };
}

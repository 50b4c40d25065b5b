import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { defineConfig, type Options } from 'tsup';
import { entryPoints } from './entry-points.js';

/** `event-sessions` is built as dist/index.*, `event-sessions/redis` as dist/redis.*. */
const outputs = Object.keys(entryPoints).map((name) => (name.includes('/') ? basename(name) : 'index'));

assertExportsMatch();

const shared: Options = {
  target: 'node20',
  platform: 'node',
  // Parts of the build: tree-shaken, zod/mini loads in 3 ms, from node_modules it takes 45. eventemitter3 is CommonJS
  // behind an ES module, and Node takes its time to find out what such a module exports.
  noExternal: [/^zod/, 'eventemitter3'],
  sourcemap: true,
};

export default defineConfig([
  {
    ...shared,
    entry: Object.fromEntries(Object.values(entryPoints).map((source, index) => [outputs[index], source])),
    format: ['esm', 'cjs'],
    dts: { resolve: ['@standard-schema/spec'] },
    // One copy of the core for all CJS entry points too. It needs `treeshake`, which writes the CJS with rollup:
    // tsup's own splitting of CJS compiles `?.` and `??` away.
    splitting: true,
    treeshake: true,
    clean: ['!cli.*'],
    onSuccess: () => dropForeignSources((name) => !name.startsWith('cli.')),
  },
  {
    ...shared,
    // The bin uses the package through its own entry points, which load ioredis and nsqjs: only those it needs.
    entry: { cli: 'src/cli/bin.ts' },
    format: ['esm'],
    external: [/^event-sessions/],
    splitting: false,
    onSuccess: () => dropForeignSources((name) => name.startsWith('cli.')),
  },
]);

/** Maps keep the names of the dependencies' files, but not their text: that was two thirds of the package. */
async function dropForeignSources(isOurs: (name: string) => boolean): Promise<void> {
  for (const file of await readdir('dist')) {
    if (!file.endsWith('.map') || !isOurs(file)) continue;
    const path = join('dist', file);
    const map = JSON.parse(await readFile(path, 'utf8')) as {
      sources: string[];
      // An entry point that only exports what is in chunks has none.
      sourcesContent?: (string | null)[];
    };
    map.sourcesContent = (map.sourcesContent ?? []).map((content, index) =>
      map.sources[index]?.includes('node_modules/') ? null : content,
    );
    await writeFile(path, JSON.stringify(map));
  }
}

/** An entry point without its line in `exports`, or the other way round, must not get as far as a tarball. */
function assertExportsMatch(): void {
  const text = readFileSync(new URL('./package.json', import.meta.url), 'utf8');
  const manifest = JSON.parse(text) as { exports: unknown; typesVersions: unknown };
  const expected = outputs.map((name) => [
    name === 'index' ? '.' : `./${name}`,
    {
      import: { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
      require: { types: `./dist/${name}.d.cts`, default: `./dist/${name}.cjs` },
    },
  ]);
  assert.deepEqual(
    manifest.exports,
    { ...Object.fromEntries(expected), './package.json': './package.json' },
    'exports of package.json and paths of tsconfig.json disagree',
  );
  const subpaths = outputs.filter((name) => name !== 'index');
  assert.deepEqual(
    manifest.typesVersions,
    { '*': Object.fromEntries(subpaths.map((name) => [name, [`./dist/${name}.d.cts`]])) },
    'typesVersions of package.json and paths of tsconfig.json disagree',
  );
}

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The package's entry points, `{ 'event-sessions/redis': '<absolute path of its source>' }`.
 * They stand once, in the `paths` of tsconfig.json: build, tests and types all read them from there.
 */
export const entryPoints: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(pathsOfTsconfig()).map(([name, source]) => [
    name,
    fileURLToPath(new URL(source, import.meta.url)),
  ]),
);

function pathsOfTsconfig(): Record<string, string> {
  const text = readFileSync(new URL('./tsconfig.json', import.meta.url), 'utf8');
  const { compilerOptions } = JSON.parse(text) as { compilerOptions: { paths: Record<string, [string]> } };
  return Object.fromEntries(Object.entries(compilerOptions.paths).map(([name, [source]]) => [name, source]));
}

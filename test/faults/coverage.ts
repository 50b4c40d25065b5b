import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ADAPTER = fileURLToPath(new URL('../../src/adapters/file', import.meta.url));

/**
 * What the file adapter uses of `node:fs`, as its sources say: imported functions, and methods that only a file handle
 * has by that name.
 */
export function fileOperations(handleMethods: readonly string[]): { functions: string[]; methods: string[] } {
  const functions = new Set<string>();
  const methods = new Set<string>();
  for (const file of readdirSync(ADAPTER)) {
    const source = readFileSync(join(ADAPTER, file), 'utf8');
    for (const imported of importsOfFs(source, file)) functions.add(imported);
    for (const method of handleMethods) if (source.includes(`.${method}(`)) methods.add(method);
  }
  return { functions: [...functions].sort(), methods: [...methods].sort() };
}

function importsOfFs(source: string, file: string): string[] {
  const named = /^import (?!type)\{([^}]*)\} from 'node:fs(?:\/promises)?';$/gm;
  const any = /^import (?!type).*(?:node:)?fs(?:\/promises)?['"]/gm;
  const found = [...source.matchAll(named)];
  if ([...source.matchAll(any)].length > found.length || /\bimport\(|\brequire\(/.test(source)) {
    throw new Error(`${file} imports fs in a way that is not read here`);
  }
  return found
    .flatMap(([, names = '']) => names.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '' && !name.startsWith('type ') && name !== 'constants');
}

import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './markdown.js';

/** What the architecture page says: each folder of `src/`, and the folders that it may import from. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: ['ports'],
  ports: ['core'],
  publishing: ['ports', 'core'],
  contingency: ['publishing', 'ports', 'core'],
  commands: ['contingency', 'publishing', 'ports', 'core'],
  queries: ['contingency', 'ports', 'core'],
  adapters: ['ports', 'core'],
};

test('the arrows between the folders point down, as the architecture page says', () => {
  const wrong = Object.entries(ARROWS).flatMap(([folder, allowed]) =>
    filesIn(folder).flatMap((file) =>
      importsOf(file)
        .filter((target) => !allowed.includes(target.split('/')[0] ?? '') && !target.startsWith(`${folder}/`))
        .map((target) => `${file} → ${target}`),
    ),
  );
  expect(wrong).toEqual([]);
});

test('the adapters know nothing of each other', () => {
  // What several share stands in `adapters/` itself.
  const folderOf = (file: string) => posix.dirname(file);
  const wrong = filesIn('adapters').flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith('adapters/'))
      .filter((target) => ![folderOf(file), 'adapters'].includes(folderOf(target)))
      .map((target) => `${file} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

function filesIn(folder: string): string[] {
  const names = readdirSync(join(ROOT, 'src', folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).map((name) => posix.join(folder, name));
}

/** The files of `src/` that a file imports from, such as `core/errors.js`. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, 'src', file), 'utf8');
  const targets = [...text.matchAll(/\bfrom '(\.[^']+)'/g)].map(([, target = '']) => target);
  return targets.map((target) => posix.join(posix.dirname(file), target));
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { entryPoints } from '../../entry-points.js';
import { codeIn, type Page, pages, ROOT } from './markdown.js';

test.each(pages)('every link in $path leads somewhere', ({ path, text }) => {
  const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => {
      const [file = '', anchor] = target.split('#');
      const at = file === '' ? path : join(dirname(path), file);
      return !existsSync(join(ROOT, at)) || (anchor !== undefined && !headingsOf(at).includes(anchor));
    });
  expect(broken).toEqual([]);
});

/** The first parts of paths that can only mean a file of this project, some of them told from `src/` on. */
const FOLDERS = ['.', 'src'].map(
  (base) =>
    [
      base,
      readdirSync(join(ROOT, base), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
        .map(({ name }) => name),
    ] as const,
);

test.each(pages)('every file and folder that $path names is there', ({ text }: Page) => {
  const missing = codeIn(text)
    .filter((code) => /^[\w.-]+(\/[\w.*-]*)+$/.test(code))
    .filter((code) => {
      const [first = ''] = code.split('/');
      const bases = FOLDERS.filter(([, names]) => names.includes(first)).map(([base]) => base);
      return bases.length > 0 && !bases.some((base) => existsSync(join(ROOT, base, code)));
    });
  expect(missing).toEqual([]);
});

test('every entry point that a page names can be imported', () => {
  const named = pages.flatMap(({ text }) =>
    codeIn(text).filter((code) => /^event-sessions\/[\w-]+$/.test(code)),
  );
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !(name in entryPoints))).toEqual([]);
});

test('every script and file of a shell block is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  for (const { path, text } of pages) {
    for (const [, script = ''] of text.matchAll(/npm run ([\w:]+)/g))
      expect(scripts, path).toHaveProperty([script]);
    for (const [, file = ''] of text.matchAll(/--import tsx (\S+)/g))
      expect(existsSync(join(ROOT, file)), `${path}: ${file}`).toBe(true);
  }
});

function headingsOf(path: string): string[] {
  return readFileSync(join(ROOT, path), 'utf8')
    .split('\n')
    .filter((line) => /^#+ /.test(line))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .trim()
        .replace(/\s/g, '-'),
    );
}

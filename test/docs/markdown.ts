import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Page {
  /** From the root of the project, such as `docs/concepts.md`. */
  readonly path: string;
  readonly text: string;
}

export interface CodeBlock {
  readonly page: string;
  /** Line of the first line of code, from 1. */
  readonly line: number;
  readonly code: string;
  /** Marked with `ts run`. */
  readonly runs: boolean;
}

/** Everything a visitor reads: the README, the pages in docs, the READMEs of examples, the changelog. */
export const pages: readonly Page[] = [
  'README.md',
  'CHANGELOG.md',
  ...filesUnder('docs').filter((path) => path.endsWith('.md')),
  ...filesUnder('examples').filter((path) => path.endsWith('README.md')),
].map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

/** The TypeScript in the pages. Any other way to write the language's name would hide code from these tests. */
export const codeBlocks: readonly CodeBlock[] = pages.flatMap(({ path, text }) => {
  const lines = text.split('\n');
  const blocks: CodeBlock[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const info = /^\s*```+\s*(\S.*)$/.exec(lines[i] ?? '')?.[1]?.trim();
    if (info === undefined) continue;
    const end = lines.findIndex((line, j) => j > i && /^\s*```+\s*$/.test(line));
    if (end === -1) throw new Error(`${path}:${i + 1}: this block has no end`);
    if (info === 'ts' || info === 'ts run') {
      blocks.push({
        page: path,
        line: i + 2,
        code: lines.slice(i + 1, end).join('\n'),
        runs: info === 'ts run',
      });
    } else if (!['sh', 'json', 'text'].includes(info)) {
      throw new Error(`${path}:${i + 1}: blocks are ts, ts run, sh, json or text, not ${info}`);
    }
    i = end;
  }
  return blocks;
});

/** Rows of the first table below a heading, without its head: the text of each cell. */
export function tableBelow(page: string, heading: string): string[][] {
  const lines = pages.find(({ path }) => path === page)?.text.split('\n') ?? [];
  const start = lines.indexOf(heading);
  if (start === -1) throw new Error(`${page} has no ${heading}`);
  const first = lines.findIndex((line, i) => i > start && line.startsWith('|'));
  const end = lines.findIndex((line, i) => i > first && !line.startsWith('|'));
  return lines.slice(first + 2, end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** The words in backticks. */
export function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
    .filter((path) => !path.includes('node_modules'))
    .sort();
}

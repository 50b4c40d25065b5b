import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs, services } from '../support/services.js';
import { type CodeBlock, codeBlocks, ROOT } from './markdown.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-sessions-docs-'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  const tsconfig = { extends: join(ROOT, 'tsconfig.json'), include: ['*.ts'], exclude: [] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
  for (const block of codeBlocks) {
    // As many lines in front as in the page, so that messages name the page's lines.
    const source = '\n'.repeat(block.line - 1) + onTestServices(block.code);
    await writeFile(join(folder, fileOf(block)), `${source}\nexport {};\n`);
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('there is code, in the README and elsewhere', () => {
  const pagesWithCode = new Set(codeBlocks.map(({ page }) => page));
  expect(pagesWithCode).toContain('README.md');
  expect(pagesWithCode.size).toBeGreaterThan(3);
  expect(codeBlocks.filter(({ runs }) => runs).length).toBeGreaterThan(5);
});

test('every block is right by its types', async () => {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { stdout } = await node([tsc, '--project', 'tsconfig.json', '--pretty', 'false']);
  expect(stdout).toBe('');
});

describe('every block that is marked so runs, says nothing on stderr and ends by itself', () => {
  for (const block of codeBlocks.filter(({ runs }) => runs)) {
    test(`${block.page}:${block.line}`, needs(...servicesOf(block)), async () => {
      const ended = await node(['--import', 'tsx', fileOf(block)]);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout.length > 0).toBe(block.code.includes('console.log('));
      if (block.code.includes(RECEIPT.told)) expect(ended.stdout).toMatch(RECEIPT.printed);
    });
  }
});

/** What stands beside the README's first example. */
const RECEIPT = {
  told: "// { sessionId, status: 'committed', events: 1, published: 1, deferred: 0, durationMs }",
  printed:
    /^{\s+sessionId: '[\w-]{22}',\s+status: 'committed',\s+events: 1,\s+published: 1,\s+deferred: 0,\s+durationMs: [\d.]+\s+}\n$/,
};

test('the first example of the README tells its receipt', () => {
  expect(codeBlocks[0]).toMatchObject({ page: 'README.md', runs: true });
  expect(codeBlocks[0]?.code).toContain(RECEIPT.told);
});

function fileOf({ page, line }: CodeBlock): string {
  return `${page.replace(/\W/g, '-')}-${line}.ts`;
}

function servicesOf({ code }: CodeBlock): ('redis' | 'nsqd')[] {
  return [
    ...(code.includes(':6379') ? (['redis'] as const) : []),
    ...(code.includes(':4150') ? (['nsqd'] as const) : []),
  ];
}

/** The usual ports belong to servers of the machine, which tests leave alone. */
function onTestServices(code: string): string {
  const { redis, nsqd } = services();
  return code
    .replaceAll('redis://127.0.0.1:6379', redis?.url ?? 'redis://127.0.0.1:1')
    .replaceAll('127.0.0.1:4150', nsqd?.tcp ?? '127.0.0.1:1')
    .replaceAll(/\b(localhost|127\.0\.0\.1):(6379|4150)\b/g, '127.0.0.1:1');
}

function node(args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { cwd: folder }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runExample } from './run-example.js';

test('the quickstart prints the receipt of a commit', async () => {
  const { code, stdout, stderr } = await runExample('quickstart.ts');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain("status: 'committed'");
  expect(stdout).toContain('published: 2');
});

test('the quickstart is short', async () => {
  const source = await readFile(new URL('../../examples/quickstart.ts', import.meta.url), 'utf8');
  expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(25);
});

import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('a module that test files share registers no hook: it would hold for the first of them in a worker alone', () => {
  const folder = new URL('../', import.meta.url);
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const shared = names.filter((name) => name.endsWith('.ts') && !/\.(?:test|fixture)\.ts$/.test(name));
  expect(shared).toContain('api/instance.ts');
  const registersHooks = (name: string) =>
    /\b(?:before|after)(?:Each|All)\(/.test(readFileSync(new URL(name, folder), 'utf8'));
  expect(shared.filter(registersHooks)).toEqual([]);
});

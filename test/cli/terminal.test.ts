import { expect, test } from 'vitest';
import { tableLines } from '../../src/cli/terminal.js';

test('a table may have more rows than a call may have arguments', () => {
  const rows = Array.from({ length: 200_000 }, (_, n) => [`s-${n}`, 'start']);
  const lines = tableLines([{ title: 'SESSION' }, { title: 'WHAT' }], rows, (_, text) => text);
  expect(lines).toHaveLength(200_001);
  expect(lines.at(-1)).toBe('s-199999  start');
});

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const fixtures = fileURLToPath(new URL('./reporter-fixtures', import.meta.url));
const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));

/** Runs vitest on one fixture; `last` is the very last line it printed. */
async function report(fixture: string, env: NodeJS.ProcessEnv = {}) {
  return new Promise<{ code: number; output: string; last: string | undefined }>((resolve) => {
    const options = { cwd: fixtures, env: { ...process.env, NO_COLOR: '1', ...env } };
    const child = execFile(process.execPath, [vitest, 'run', fixture], options, (_, output) => {
      resolve({ code: child.exitCode ?? -1, output, last: output.trimEnd().split('\n').at(-1) });
    });
  });
}

it('tells what was left out, why and how much of it', async () => {
  const { code, output, last } = await report('left-out');
  expect(output).toContain('Left out: 3 tests, nsqd is missing: Go is not on the PATH\n');
  expect(output).toContain('Left out: 1 test, cluster is missing: no room\n');
  expect(output).toContain('Left out: 1 test, the moon is full\n');
  expect(output).toContain('Left out: 1 test, no reason given\n   left-out.fixture.ts > says nothing\n');
  expect(output).toMatch(/Ran on Node [\d.]+ · redis-server 7\.0\.15\n/);
  expect([code, last]).toEqual([0, '2 passed, 0 failed, 6 skipped']);
});

it.each([
  ['failing', '1 passed, 2 failed, 1 skipped'],
  ['unloadable', '0 passed, 1 failed, 0 skipped'],
  ['unhandled', '1 passed, 1 failed, 0 skipped'],
  ['no such file', '0 passed, 1 failed, 0 skipped'],
])('counts as failed all that went wrong: %s', async (fixture, counts) => {
  const { code, last } = await report(fixture);
  expect([code, last]).toEqual([1, counts]);
});

it('has a last line even when the setup fails', async () => {
  const { code, last } = await report('left-out', { FIXTURE_SETUP: 'throws' });
  expect([code, last]).toEqual([1, '0 passed, 1 failed, 0 skipped']);
});

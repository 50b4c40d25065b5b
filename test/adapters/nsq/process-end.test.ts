import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { aDouble } from './support.js';

const SCRIPT = fileURLToPath(new URL('./fixtures/idle-publisher.ts', import.meta.url));

it('an idle publisher holds no process open, a call in progress does', async () => {
  const [nsqd, silent] = [await aDouble(), await aDouble()];
  silent.onIdentify = () => 'stall';
  // Ends by itself, or by force after the timeout, which rejects.
  const run = promisify(execFile)(process.execPath, ['--import', 'tsx', SCRIPT, nsqd.tcp, silent.tcp], {
    timeout: 25_000,
  });
  expect(await run).toEqual({ stdout: 'published, then not_done\n', stderr: '' });
  expect(nsqd.taken).toHaveLength(1);
});

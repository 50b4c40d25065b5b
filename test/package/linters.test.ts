import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { expect, inject, it } from 'vitest';
import { run } from './run.js';

const { root, tarball } = inject('packed');

it('publint has nothing to say', async () => {
  const { messages, pkg } = await publint({ pkgDir: root, pack: 'npm', strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

it('attw finds the right types in every module resolution, node10 included', async () => {
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  await run(process.execPath, [attw, tarball, '--no-emoji'], root);
});

import { expect, test, vi } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { openLogSnapshot } from '../../../src/adapters/file/log-reader.js';
import { added, idOf, inFolder, sealOf } from './support/log-files.js';

/** Happens once, between a look at a file that is then read and its opening. */
let meanwhile: (() => Promise<void>) | undefined;

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  return {
    ...fs,
    async open(...[path, flags, mode]: Parameters<typeof fs.open>) {
      const work = flags === 'r' ? meanwhile : undefined;
      if (work !== undefined) meanwhile = undefined;
      await work?.();
      return fs.open(path, flags, mode);
    },
  };
});

test.each([
  ['and made anew', true],
  ['and not made anew yet', false],
])('a log that is sealed while it is opened, %s, is seen whole', async (_, madeAnew) => {
  await inFolder(async (_folder, path) => {
    const log = fileContingency({ path });
    await log.append([added('before')]);
    meanwhile = async () => {
      await sealOf(log);
      if (madeAnew) await log.append([added('after')]);
    };
    const snapshot = await openLogSnapshot(path);
    expect(meanwhile).toBeUndefined();
    const ids: string[] = [];
    for await (const entry of snapshot.read()) ids.push(idOf(entry));
    await snapshot.close();
    await log.close();
    expect(ids).toEqual(madeAnew ? ['before', 'after'] : ['before']);
  });
});

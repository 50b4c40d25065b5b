import { afterAll, expect, test, vi } from 'vitest';

/** Happens once, between a look at a file that is then read and its opening. */
let meanwhile: (() => Promise<void>) | undefined;

// Modules are shared with the test files before and after this one: what is imported from here on is evaluated anew.
vi.doMock('node:fs/promises', async (original) => {
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
vi.resetModules();
afterAll(() => {
  vi.doUnmock('node:fs/promises');
  vi.resetModules();
});

const { fileContingency } = await import('../../../src/adapters/file/index.js');
const { openLogSnapshot } = await import('../../../src/adapters/file/log-reader.js');
const { added, idOf, inFolder, sealOf } = await import('./support/log-files.js');

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

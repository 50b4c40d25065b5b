import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, type TestContext } from 'vitest';
import { fileContingency } from '../../../src/adapters/file/index.js';
import { inject } from '../../support/injecting.js';
import { added, entriesOf, idOf, idsOf, inFolder } from './support/log-files.js';
import { type Obedient, type ObedientOptions, startObedient } from './support/obedient.js';

const run = promisify(execFile);
const NOBODY = 65_534;
/** Each test starts a process that has to load TypeScript first. */

const failed = (path: string, errno: string) => ({
  code: 'CONTINGENCY_FAILED',
  message: `cannot append to ${path}: ${errno}`,
});

async function withObedient(
  path: string,
  options: ObedientOptions,
  work: (obedient: Obedient) => Promise<void>,
) {
  const obedient = await startObedient(path, options);
  try {
    await work(obedient);
  } finally {
    await obedient.end();
  }
}

describe('without permission', () => {
  it('an append is refused with EACCES, and taken once it is allowed', async (context) => {
    await inFolder(async (folder) => {
      const path = join(folder, 'logs', 'log.jsonl');
      await chmod(folder, 0o755);
      await mkdir(dirname(path));
      await chmod(dirname(path), 0o555);
      await withObedient(path, {}, async ({ order }) => {
        // Only now: another user may be allowed neither to run this Node nor to read this checkout.
        if (process.getuid?.() === 0) {
          await inject(context, 'give up root', async () => {
            const { message, result } = await order('become', NOBODY);
            if (result !== NOBODY) throw new Error(message);
          });
        }
        expect(await order('append', '0')).toEqual(failed(path, 'EACCES'));
        await chmod(dirname(path), 0o777);
        expect(await order('append', '1')).toEqual({});
        // A file that is open already would go on; one that has to be opened is refused.
        await rename(path, `${path}.moved`);
        await chmod(dirname(path), 0o555);
        expect(await order('append', '2')).toEqual(failed(path, 'EACCES'));
        await chmod(dirname(path), 0o777);
        expect(await order('append', '3')).toEqual({});
      });
      const log = fileContingency({ path });
      expect(await idsOf(log)).toEqual(['3']);
      await log.close();
    });
  });
});

describe('a limit of the process', () => {
  it('on open files refuses with EMFILE, and the log goes on when there are descriptors again', async () => {
    await inFolder(async (_, path) => {
      // Loading the modules takes some hundred at once, from a disk that has not read them before. All are used up below.
      await withObedient(path, { shell: 'ulimit -n 1024' }, async ({ order }) => {
        expect(await order('use up descriptors')).toEqual({ result: 'EMFILE' });
        expect(await order('append', '0')).toEqual(failed(path, 'EMFILE'));
        await order('give back descriptors');
        expect(await order('append', '1')).toEqual({});
        await order('use up descriptors');
        expect(await order('append', '2')).toEqual({});
        const recovery = await order('recover');
        expect(recovery).toMatchObject({
          code: 'CONTINGENCY_FAILED',
          message: expect.stringMatching(/EMFILE/),
        });
        await order('give back descriptors');
      });
      const log = fileContingency({ path });
      expect(await idsOf(log)).toEqual(['1', '2']);
      await log.close();
    });
  });

  it('on the size of a file cuts a write short and refuses with EFBIG, and harms nothing before', async () => {
    await inFolder(async (_, path) => {
      const acknowledged: string[] = [];
      // In blocks of 512 bytes.
      await withObedient(path, { shell: 'ulimit -f 20' }, async ({ order }) => {
        for (let i = 0; ; i += 1) {
          const answer = await order('append', `${i}`, 700);
          if (answer.code === undefined) acknowledged.push(`${i}`);
          else {
            expect(answer).toEqual(failed(path, 'EFBIG'));
            break;
          }
        }
      });
      expect((await stat(path)).size).toBe(20 * 512);
      expect(acknowledged.length).toBeGreaterThan(5);
      const log = fileContingency({ path });
      await log.append([added('after')]);
      const entries = await entriesOf(log);
      expect(entries.filter((entry) => 'record' in entry).map(idOf)).toEqual([...acknowledged, 'after']);
      expect(entries).toHaveLength(acknowledged.length + 2);
      await log.close();
    });
  });
});

describe('an immutable file', () => {
  it('refuses with EPERM, cannot be sealed, and is whole when it is mutable again', async (context) => {
    await inFolder(async (_, path) => {
      const log = fileContingency({ path });
      await log.append([added('0')]);
      await log.close();
      await inject(context, 'make a file immutable', () => run('chattr', ['+i', path]));
      const again = fileContingency({ path });
      try {
        await expect(again.append([added('1')])).rejects.toMatchObject(failed(path, 'EPERM'));
        await expect(again.seal()).rejects.toMatchObject({
          code: 'CONTINGENCY_FAILED',
          message: `cannot seal ${path}: EPERM`,
        });
      } finally {
        await run('chattr', ['-i', path]);
      }
      await again.append([added('2')]);
      expect(await idsOf(again)).toEqual(['0', '2']);
      await again.close();
    });
  });
});

describe('syncs of the operating system', () => {
  interface Traced {
    readonly call: string;
    readonly outcome: string;
    readonly inode: string;
    readonly path: string;
  }

  async function withShim(
    context: TestContext,
    fail: string,
    work: (obedient: Obedient, path: string, trace: () => Promise<Traced[]>) => Promise<void>,
  ) {
    await inFolder(async (folder) => {
      const shim = join(folder, 'shim.so');
      const source = join(import.meta.dirname, 'support', 'io-shim.c');
      await inject(context, 'compile a C library', () =>
        run('cc', ['-shared', '-fPIC', '-O1', '-o', shim, source, '-ldl']),
      );
      const path = join(folder, 'logs', 'log.jsonl');
      const traced = join(folder, 'trace');
      const trace = async () => {
        const lines = (await readFile(traced, 'utf8')).split('\n').slice(0, -1);
        return lines.map((line) => {
          const [call = '', outcome = '', inode = '', file = ''] = line.split(' ');
          return { call, outcome, inode, path: file };
        });
      };
      await mkdir(dirname(path));
      const env = { LD_PRELOAD: shim, IO_TRACE: traced, IO_FAIL: fail };
      await withObedient(path, { env }, (obedient) => work(obedient, path, trace));
    });
  }

  it('that fail are answered by a new file, and the old one is never synced again', async (context) => {
    await withShim(context, 'fdatasync 2', async ({ order }, path, trace) => {
      for (const id of ['0', '1', '2']) expect(await order('append', id)).toEqual({});
      const syncs = (await trace()).filter(({ call }) => call === 'fdatasync');
      expect(syncs.map(({ outcome }) => outcome)).toEqual(['ok', 'EIO', 'ok', 'ok']);
      const [first, second, third, fourth] = syncs.map(({ inode }) => inode);
      expect([second, fourth]).toEqual([first, third]);
      expect(third).not.toBe(first);
      const log = fileContingency({ path });
      expect([...new Set(await idsOf(log))]).toEqual(['0', '1', '2']);
      await log.close();
    });
  });

  it('that go on failing refuse the append', async (context) => {
    await withShim(context, 'fdatasync 1 2', async ({ order }, path) => {
      expect(await order('append', '0')).toEqual(failed(path, 'EIO'));
      expect(await order('append', '1')).toEqual({});
    });
  });

  it('reach the folder before the first append is acknowledged, and after each rename and removal', async (context) => {
    await withShim(context, '', async ({ order }, path, trace) => {
      const folder = dirname(path);
      await order('append', '0');
      const first = await trace();
      expect(first.map(({ call, path: file }) => [call, file])).toEqual(
        expect.arrayContaining([
          ['fsync', folder],
          ['fdatasync', path],
        ]),
      );
      expect(await order('recover')).toEqual({ result: 1 });
      const then = (await trace()).slice(first.length).filter(({ path: file }) => !file.includes('.lock'));
      const changes = then.flatMap(({ call }, i) => (['rename', 'unlink'].includes(call) ? [i] : []));
      expect(changes.length).toBeGreaterThan(1);
      for (const i of changes) {
        const later = then.slice(i + 1);
        expect(later, `${then[i]?.call} ${then[i]?.path}`).toContainEqual(
          expect.objectContaining({ call: 'fsync', outcome: 'ok', path: folder }),
        );
      }
    });
  });

  it('reach the folder before what is settled counts as marked: the new file of marks might vanish with its name', async (context) => {
    await withShim(context, '', async ({ order }, path, trace) => {
      for (const id of ['0', '1']) expect(await order('append', id)).toEqual({});
      expect(await order('settle')).toEqual({});
      const calls = await trace();
      const marked = calls.findIndex(
        ({ call, path: file }) => call === 'fdatasync' && file.endsWith('.settled'),
      );
      expect(marked).toBeGreaterThan(0);
      expect(calls.slice(marked)).toContainEqual(
        expect.objectContaining({ call: 'fsync', outcome: 'ok', path: dirname(path) }),
      );
    });
  });

  it('that fail for the folder refuse the append: the new file might vanish with its name', async (context) => {
    await withShim(context, 'fsync 1', async ({ order }, path) => {
      expect(await order('append', '0')).toEqual(failed(path, 'EIO'));
      expect(await order('append', '1')).toEqual({});
    });
  });
});

it('can be read with the jq that people have', async (context) => {
  await inFolder(async (_, path) => {
    await inject(context, 'run jq', () => run('jq', ['--version']));
    const log = fileContingency({ path });
    await log.append([added('0', { text: 'é 🙂 "quoted" \u2028 \\ \n' }), added('1')]);
    await log.append([{ ...added('2'), event: '{"id":"2",\n"data":"embedded as text"}' }]);
    await log.close();
    const { stdout } = await run('jq', [
      '-c',
      '[.kind, (.event | if type == "string" then fromjson else . end | .id)]',
      path,
    ]);
    expect(stdout.trim().split('\n')).toEqual(['0', '1', '2'].map((id) => `["event.added","${id}"]`));
  });
});

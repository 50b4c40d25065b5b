import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { run } from './run.js';

const { root, bare, full, ioredis6 } = inject('packed');
const binOf = (project: string) => join(project, 'node_modules', '.bin', 'event-sessions');

/** Runs the installed bin to its end, whatever its exit code. */
function bin(project: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    execFile(binOf(project), args, { cwd: project }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr });
    });
  });
}

describe('the bin of the tarball', () => {
  test('is executable, and says which Node runs it', async () => {
    const path = join(bare, 'node_modules', 'event-sessions', 'dist', 'cli.js');
    expect((await stat(path)).mode & 0o111).toBe(0o111);
    expect(await readFile(path, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  test('runs by npx', async () => {
    const help = await run('npx', ['--no', '--', 'event-sessions', '--help'], bare);
    expect(help).toContain('event-sessions <command> [options]');
  });

  test('has the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    expect(await bin(bare, '--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('without ioredis and nsqjs', () => {
  test('inspects, and examines what needs neither', async () => {
    expect(await bin(bare, 'inspect')).toMatchObject({ code: 0, stderr: '' });
    const { code, stdout } = await bin(bare, 'doctor', '--nsqd', '127.0.0.1:1', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout).checks).toContainEqual(
      expect.objectContaining({ name: 'nsqd.reachable', status: 'error' }),
    );
  });

  test.each([
    [['recover', '--redis', 'redis://127.0.0.1:1', '--nsqd', '127.0.0.1:1']],
    [['doctor', '--redis', 'redis://127.0.0.1:1']],
    [['inspect', '--session', 's-1', '--redis', 'redis://127.0.0.1:1']],
  ])('%j says what to install', async (args) => {
    const { code, stderr } = await bin(bare, ...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/ioredis is not installed, .*: npm install ioredis$/m);
  });
});

describe.each([
  ['ioredis 5', full],
  ['ioredis 6', ioredis6],
])('with %s and nsqjs', (_, project) => {
  test('loads both when they are needed', async () => {
    const nowhere = ['--redis', 'redis://127.0.0.1:1', '--nsqd', '127.0.0.1:1'];
    const { code, stderr } = await bin(project, 'recover', ...nowhere);
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining('ECONNREFUSED') });
    const examined = await bin(project, 'doctor', ...nowhere);
    expect(examined).toMatchObject({ code: 1, stderr: '', stdout: expect.stringContaining('2 errors') });
  });
});

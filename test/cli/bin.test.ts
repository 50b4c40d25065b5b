import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { encodeRecord } from '../../src/adapters/file/record-line.js';
import { describeWithAll } from '../support/services.js';
import { duringOutages, recordCommits } from './support/backlog.js';
import { BIN, ROOT, startBin } from './support/run-bin.js';
import { inFolder, runMain } from './support/run-main.js';

/** So many sessions that their table is larger than the buffer of a pipe. */
async function writeLargeLog(path: string): Promise<void> {
  const lines = Array.from({ length: 5_000 }, (_, n) =>
    encodeRecord({ kind: 'session.rollback_requested', sessionId: `s-${n}`, at: n }),
  );
  await writeFile(path, Buffer.concat(lines));
}

/** In bash, `$PIPESTATUS` is what the first of a pipe ended with. */
const shell = (command: string, ...args: string[]) =>
  promisify(execFile)('bash', ['-c', command, 'bash', process.execPath, ...BIN, ...args], { cwd: ROOT });

describe('as a process', () => {
  test('prints its version, ends with the exit code of the command', async () => {
    const { code, stdout, stderr } = await startBin(['--version']).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
    expect(await startBin(['nonsense']).ended).toMatchObject({ code: 2 });
  });

  test('piped into head it is no failure, and nothing is said', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      await writeLargeLog(path);
      const { stdout, stderr } = await shell(
        '"$@" | head -n 1; echo "ended with $PIPESTATUS"',
        'inspect',
        '--limit',
        '0',
        '--file',
        path,
      );
      expect({ stdout, stderr }).toEqual({ stdout: `${path}\nended with 0\n`, stderr: '' });
    });
  });

  test('output that finds no room is a failure', async (context) => {
    if (process.platform !== 'linux') context.skip('there is no /dev/full');
    const { stdout, stderr } = await shell('"$@" > /dev/full; echo "ended with $?"', '--help');
    expect(stdout).toBe('ended with 1\n');
    expect(stderr).toMatch(/^event-sessions: the output cannot be written: .*ENOSPC.*\n$/);
  });

  test('prints everything into a pipe before it ends', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      await writeLargeLog(path);
      const { stdout } = await startBin(['inspect', '--json', '--file', path]).ended;
      expect(JSON.parse(stdout).sessions).toHaveLength(5_000);
    });
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('recover goes on when nobody listens any more', async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const prefix = 'cli-bin';
      await duringOutages({ file, redis: redis.url, prefix }, (outages) =>
        recordCommits(outages, { count: 40, events: 2, topic: prefix, prefix: 's-' }),
      );
      const args = ['--redis', redis.url, '--prefix', prefix, '--nsqd', nsqd.tcp, '--file', file];
      const { stdout, stderr } = await shell(
        '"$@" | head -n 1; echo "ended with $PIPESTATUS"',
        'recover',
        '--json',
        ...args,
      );
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^\{"type":"start",.*\}\nended with 0\n$/);
      expect(JSON.parse((await runMain(['inspect', '--json', '--file', file])).stdout)).toMatchObject({
        records: 0,
      });
    });
  }, 60_000);
});

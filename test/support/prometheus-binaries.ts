import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheRoot, fillOnce } from './cache.js';

const run = promisify(execFile);

export interface PrometheusBinaries {
  /** Paths, or bare names when they are on the PATH. */
  readonly prometheus: string;
  readonly promtool: string;
  readonly version: string;
}

let binaries: Promise<PrometheusBinaries> | undefined;

/**
 * prometheus and promtool: from the PATH, or else from Debian's package `prometheus` (19 MB, once), which is not
 * installed but unpacked into `$EVENT_SESSIONS_CACHE`, or `event-sessions` in the user's cache folder. Throws a plain
 * reason if neither can be had.
 */
export function prometheusBinaries(): Promise<PrometheusBinaries> {
  binaries ??= findOrDownload();
  return binaries;
}

async function findOrDownload(): Promise<PrometheusBinaries> {
  const onPath = { prometheus: 'prometheus', promtool: 'promtool' };
  const version = await versionOf(onPath.prometheus);
  if (version !== undefined && (await versionOf(onPath.promtool)) !== undefined)
    return { ...onPath, version };
  const folder = join(cacheRoot(), 'prometheus');
  const cached = {
    prometheus: join(folder, 'usr/bin/prometheus'),
    promtool: join(folder, 'usr/bin/promtool'),
  };
  await download(folder);
  const downloaded = await versionOf(cached.prometheus);
  if (downloaded === undefined) throw new Error(`${cached.prometheus} does not run`);
  return { ...cached, version: downloaded };
}

async function versionOf(command: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(command, ['--version']);
    return /version (\S+)/.exec(stdout + stderr)?.[1]?.replace(/\+.*/, '');
  } catch {
    return undefined;
  }
}

function download(folder: string): Promise<void> {
  const failure = "prometheus is not on the PATH, and Debian's package could not be downloaded";
  return fillOnce(folder, 'usr/bin/prometheus', failure, async (partial) => {
    await run('apt-get', ['download', 'prometheus'], { cwd: partial, timeout: 120_000 });
    const [deb] = (await readdir(partial)).filter((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get left no package');
    await run('dpkg-deb', ['-x', deb, 'unpacked'], { cwd: partial });
    return join(partial, 'unpacked');
  });
}

import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheRoot } from './cache.js';

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
  if (!(await exists(cached.prometheus))) await download(folder);
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

/** Into a folder of its own, then renamed: whoever is first wins, and nobody ever sees half a package. */
async function download(folder: string): Promise<void> {
  await mkdir(join(folder, '..'), { recursive: true });
  const partial = await mkdtemp(`${folder}-`);
  try {
    await run('apt-get', ['download', 'prometheus'], { cwd: partial, timeout: 120_000 });
    const [deb] = (await readdir(partial)).filter((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get left no package');
    await run('dpkg-deb', ['-x', deb, 'unpacked'], { cwd: partial });
    await rename(join(partial, 'unpacked'), folder);
  } catch (error) {
    if (await exists(join(folder, 'usr/bin/prometheus'))) return;
    const { stderr } = error as { stderr?: string };
    const detail = stderr?.trim().split('\n').at(-1) || String(error);
    const reason = `prometheus is not on the PATH, and Debian's package could not be downloaded: ${detail}`;
    throw new Error(reason, { cause: error });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

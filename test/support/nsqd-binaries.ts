import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheRoot, fillOnce } from './cache.js';

const run = promisify(execFile);

const VERSION = 'v1.3.0';
const MODULE = fileURLToPath(new URL('../services/nsq', import.meta.url));
const PACKAGES = 'github.com/nsqio/nsq/apps';

export interface NsqBinaries {
  /** Paths, or bare names when they are on the PATH. */
  readonly nsqd: string;
  readonly nsqlookupd: string;
}

let binaries: Promise<NsqBinaries> | undefined;

/**
 * nsqd and nsqlookupd 1.3.0: from the PATH, or else built from `test/services/nsq` with Go (under a minute, once) and
 * kept in `$EVENT_SESSIONS_CACHE`, or `event-sessions` in the user's cache folder. Throws a plain reason if neither
 * can be had.
 */
export function nsqdBinaries(): Promise<NsqBinaries> {
  binaries ??= findOrBuild();
  return binaries;
}

async function findOrBuild(): Promise<NsqBinaries> {
  const onPath = { nsqd: 'nsqd', nsqlookupd: 'nsqlookupd' };
  if ((await isWanted(onPath.nsqd)) && (await isWanted(onPath.nsqlookupd))) return onPath;
  const folder = await cacheFolder();
  await build(folder);
  return { nsqd: join(folder, 'nsqd'), nsqlookupd: join(folder, 'nsqlookupd') };
}

async function isWanted(command: string): Promise<boolean> {
  try {
    const { stdout } = await run(command, ['--version']);
    return stdout.includes(`${VERSION} `);
  } catch {
    return false;
  }
}

/** One for each state of the module and each version of Go, so that nothing in it ever changes. */
async function cacheFolder(): Promise<string> {
  const hash = createHash('sha256');
  hash.update(await goVersion());
  for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(MODULE, file)));
  return join(cacheRoot(), `nsq-${hash.digest('hex').slice(0, 16)}`);
}

async function goVersion(): Promise<string> {
  try {
    return (await run('go', ['version'], { cwd: MODULE })).stdout;
  } catch (error) {
    const reason = `nsqd ${VERSION} is not on the PATH, and there is no Go (1.24 or newer) to build it with`;
    throw new Error(reason, { cause: error });
  }
}

function build(folder: string): Promise<void> {
  const failure = `nsqd ${VERSION} could not be built with Go`;
  return fillOnce(folder, 'nsqd', failure, async (partial) => {
    const packages = [`${PACKAGES}/nsqd`, `${PACKAGES}/nsqlookupd`];
    await run('go', ['install', '-trimpath', ...packages], {
      cwd: MODULE,
      env: { ...process.env, GOBIN: partial, GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' },
    });
    return partial;
  });
}

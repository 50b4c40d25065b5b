import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where what tests build or download is kept: `$EVENT_SESSIONS_CACHE`, or `event-sessions` in the user's cache folder. */
export function cacheRoot(): string {
  const { EVENT_SESSIONS_CACHE, XDG_CACHE_HOME } = process.env;
  return EVENT_SESSIONS_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'event-sessions');
}

/**
 * Sees to it that the folder is there, with `proof` in it. `fill` does its work in a folder of its own, and answers the
 * one to be renamed, that or one within: whoever is first wins, and nobody ever sees half of it. A failure is an error
 * that says `failure` and the last line of what the command said.
 */
export async function fillOnce(
  folder: string,
  proof: string,
  failure: string,
  fill: (partial: string) => Promise<string>,
): Promise<void> {
  if (await exists(join(folder, proof))) return;
  await mkdir(join(folder, '..'), { recursive: true });
  const partial = await mkdtemp(`${folder}-`);
  try {
    await rename(await fill(partial), folder);
  } catch (error) {
    if (await exists(join(folder, proof))) return;
    const { stderr } = error as { stderr?: string };
    const detail = stderr?.trim().split('\n').at(-1) || String(error);
    throw new Error(`${failure}: ${detail}`, { cause: error });
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

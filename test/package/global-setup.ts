import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { run } from './run.js';

export interface Packed {
  readonly root: string;
  readonly tarball: string;
  /** The paths inside the tarball. */
  readonly files: string[];
  readonly size: number;
  readonly unpackedSize: number;
  /** An empty project with nothing but the tarball installed. */
  readonly bare: string;
  /** The same with the optional peers and the types a TypeScript user has. */
  readonly full: string;
  /** The same as `full` with ioredis 6. */
  readonly ioredis6: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    packed: Packed;
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PEERS = ['nsqjs', '@types/nsqjs', '@types/node', 'prom-client', '@opentelemetry/api'];

/** Packs what is in dist and installs it, once for all package tests. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'event-sessions-package-'));
  const remove = () => rm(dir, { recursive: true, force: true });
  try {
    const json = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', dir], ROOT);
    const [pack] = JSON.parse(json) as [
      { filename: string; size: number; unpackedSize: number; files: { path: string }[] },
    ];
    const tarball = join(dir, pack.filename);
    const peers = await Promise.all(PEERS.map((name) => asInstalled(name)));
    const [bare, full, ioredis6] = await Promise.all([
      project(join(dir, 'bare'), [tarball]),
      project(join(dir, 'full'), [tarball, ...peers, await asInstalled('ioredis')]),
      project(join(dir, 'ioredis6'), [tarball, ...peers, await asInstalled('ioredis6', 'ioredis')]),
    ]);
    const { size, unpackedSize } = pack;
    const files = pack.files.map(({ path }) => path);
    provide('packed', { root: ROOT, tarball, files, size, unpackedSize, bare, full, ioredis6 });
    console.log(` ${pack.filename}: ${kB(size)} packed, ${kB(unpackedSize)} unpacked, ${files.length} files`);
    return remove;
  } catch (error) {
    await remove();
    throw error;
  }
}

async function project(dir: string, dependencies: readonly string[]): Promise<string> {
  await mkdir(dir);
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...dependencies], dir);
  return dir;
}

/** `name@version` as in this project's node_modules, which npm then has in its cache. */
async function asInstalled(folder: string, name = folder): Promise<string> {
  const manifest = await readFile(join(ROOT, 'node_modules', folder, 'package.json'), 'utf8');
  return `${name}@${(JSON.parse(manifest) as { version: string }).version}`;
}

function kB(bytes: number): string {
  return `${Math.round(bytes / 1000)} kB`;
}

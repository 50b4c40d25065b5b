import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';
import type { Edge, FaultLine } from './fault-line.js';

export interface FileBorder {
  line: FaultLine | undefined;
  /** The contingency log; what happens outside of its folder is nobody's business. */
  log: string;
}

/** What a kernel would answer instead of doing it. Whatever has no entry here fails with EIO. */
const REFUSALS: Readonly<Record<string, string>> = {
  open: 'EMFILE',
  readdir: 'EMFILE',
  mkdir: 'EACCES',
  access: 'EACCES',
  stat: 'EACCES',
  link: 'EPERM',
  rm: 'EBUSY',
  write: 'ENOSPC',
  writeFile: 'ENOSPC',
};

type Method = (...args: unknown[]) => Promise<unknown>;
// biome-ignore lint/suspicious/noExplicitAny: of whatever arguments
type SyncFunction = (...args: any[]) => unknown;

/**
 * Puts a line round every function of `node:fs/promises` and every method of the handles that `open` gives out, and
 * round `readlinkSync` and `realpathSync`, for all modules that have imported them.
 */
export function fileBorder(): FileBorder {
  const border: FileBorder = { line: undefined, log: '' };
  const functions = promises as unknown as Record<string, Method>;

  for (const [name, original] of Object.entries(functions)) {
    if (typeof original !== 'function') continue;
    functions[name] = (...args) => {
      const { line } = border;
      const role = roleOf(args[0], border.log);
      if (line === undefined || role === undefined) return original(...args);
      const isOpen = name === 'open';
      return line.pass({
        name: `file.${name}(${role})`,
        work: async () => {
          const result = await original(...args);
          return isOpen ? watched(result as FileHandle, role, line) : result;
        },
        fault: (edge) => ioError(name, edge),
        ...(isOpen && { abandon: (handle) => (handle as FileHandle).close() }),
      });
    };
  }

  const watchedSync = <F extends SyncFunction>(name: string, original: F) =>
    ((...args: Parameters<F>) =>
      border.line === undefined
        ? original(...args)
        : border.line.passSync({
            name: `file.${name}`,
            work: () => original(...args),
            fault: (edge) => ioError(name, edge),
          })) as F;
  fs.readlinkSync = watchedSync('readlinkSync', fs.readlinkSync);
  fs.realpathSync.native = watchedSync('realpathSync', fs.realpathSync.native);

  syncBuiltinESMExports();
  return border;
}

function watched(handle: FileHandle, role: string, line: FaultLine): FileHandle {
  const methods = handle as unknown as Record<string, Method>;
  for (const name of handleMethods(handle)) {
    const original = (methods[name] as Method).bind(handle);
    methods[name] = (...args) =>
      line.pass({
        name: `file.handle.${name}(${role})`,
        work: () => original(...args),
        fault: (edge) => ioError(name, edge),
        ...(name === 'write' && { tear: () => original(...firstHalf(args)) }),
      });
  }
  return handle;
}

/** The names of all methods that a handle has and that answer with a promise. */
export function handleMethods(handle: FileHandle): string[] {
  const own = Object.getOwnPropertyNames(handle);
  const inherited = Object.getOwnPropertyNames(Object.getPrototypeOf(handle));
  const others = [
    'constructor',
    'getAsyncId',
    'createReadStream',
    'createWriteStream',
    'readableWebStream',
    'readLines',
  ];
  return [...new Set([...own, ...inherited])].filter((name) => {
    if (others.includes(name) || name.startsWith('_') || name === 'fd') return false;
    return typeof (handle as unknown as Record<string, unknown>)[name] === 'function';
  });
}

/**
 * `log`, `folder` (that it is in, or above), `lock`, `sealed`, …: what the name of a file says beyond the name of the
 * log and beyond numbers. Undefined outside of the log's folder.
 */
function roleOf(path: unknown, log: string): string | undefined {
  if (typeof path !== 'string' || log === '') return undefined;
  if (path === log) return 'log';
  if (`${dirname(log)}/`.startsWith(`${path}/`)) return 'folder';
  if (dirname(path) !== dirname(log) || !path.startsWith(log)) return undefined;
  const words = basename(path).slice(basename(log).length).split('.');
  return words.filter((word) => word !== '' && !/^(\d+-)?[0-9a-f]{8}$/.test(word)).join('.') || 'log';
}

function ioError(call: string, edge: Edge): Error {
  const code = edge === 'before' ? (REFUSALS[call] ?? 'EIO') : 'EIO';
  return Object.assign(new Error(`${code}: injected, ${call}`), { code, syscall: call });
}

/** The arguments of `write(buffer, offset?)`, for the first half of it. */
function firstHalf([data, offset = 0]: unknown[]): unknown[] {
  const rest = (data as Buffer).length - (offset as number);
  return [data, offset, Math.ceil(rest / 2)];
}

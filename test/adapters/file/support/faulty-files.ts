import { open } from 'node:fs/promises';
import type { OpenedFile, OpenFile } from '../../../../src/adapters/file/append-file.js';

export interface Hooks {
  open?: () => void;
  /** How many bytes to write of how many. */
  write?: (bytes: number) => number | Promise<number>;
  datasync?: () => void | Promise<void>;
}

interface Opened {
  writes: number;
  syncs: number;
  closed: boolean;
}

/** Files that are real, except for what the hooks do before each call. */
export function filesWith(hooks: Hooks): { openFile: OpenFile; opened: Opened[] } {
  const opened: Opened[] = [];
  const openFile: OpenFile = async (path, flags, mode) => {
    hooks.open?.();
    const file = await open(path, flags, mode);
    const seen: Opened = { writes: 0, syncs: 0, closed: false };
    opened.push(seen);
    const wrapped: OpenedFile = {
      stat: (options) => file.stat(options),
      async write(data) {
        seen.writes += 1;
        return file.write(data, 0, (await hooks.write?.(data.length)) ?? data.length);
      },
      async datasync() {
        seen.syncs += 1;
        await hooks.datasync?.();
        await file.datasync();
      },
      async close() {
        seen.closed = true;
        await file.close();
      },
    };
    return wrapped;
  };
  return { openFile, opened };
}

export const fault = (code: string) => Object.assign(new Error(`${code}: injected`), { code });

/** Throws at the given calls, counted from 1. */
export function failingAt(calls: readonly number[], code: string): () => void {
  let call = 0;
  return () => {
    call += 1;
    if (calls.includes(call)) throw fault(code);
  };
}

import type { FileHandle } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Bytes of the longest line, both ways: a record that would make a longer one is refused at append. Room for an
 * event of 1 MiB whose every byte needs an escape of six characters.
 */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** Some hundred lines. Fewer cost more trips through the thread pool; more keep the event loop from what is published meanwhile. */
const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

export interface Line {
  /** Without the newline. Never empty: blank lines only separate. */
  readonly bytes: Buffer;
  /** Offset in the file right behind the line and its newline. */
  readonly end: number;
  /** `torn`: the file ends before the newline. `piece`: a stretch of a line longer than {@link MAX_LINE_BYTES}. */
  readonly form: 'whole' | 'torn' | 'piece';
}

export interface LineOptions {
  /** Offset to begin at; it must be the beginning of a line. Default 0. */
  readonly from?: number;
  /** If the file ends in a torn line, wait so long, once, for a write under way to complete it. Default 0. */
  readonly settleMs?: number;
}

/**
 * The lines of a file, some at a time, in memory bounded by the longest line.
 *
 * Split on the byte 0x0A alone: in UTF-8 it is never part of another character, while U+2028 and a lone CR, at which
 * `node:readline` splits too, are legal inside JSON.
 */
export async function* linesOf(
  handle: FileHandle,
  options: LineOptions = {},
): AsyncGenerator<readonly Line[]> {
  let position = options.from ?? 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let tooLong = false;
  let settled = (options.settleMs ?? 0) === 0;

  const take = (end: number, form: Line['form']): Line[] => {
    const [only] = held;
    const bytes = held.length === 1 && only !== undefined ? only : Buffer.concat(held);
    held = [];
    heldBytes = 0;
    return bytes.length === 0 ? [] : [{ bytes, end, form }];
  };

  /** A function of its own: V8 optimizes it in less time than a loop with a `yield` in it. */
  const split = (chunk: Buffer): Line[] => {
    const lines: Line[] = [];
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk[start] === NEWLINE ? start : chunk.indexOf(NEWLINE, start);
      const stop = newline === -1 ? chunk.length : newline;
      if (newline !== -1 && heldBytes === 0 && !tooLong) {
        if (stop > start)
          lines.push({ bytes: chunk.subarray(start, stop), end: position + stop + 1, form: 'whole' });
        start = stop + 1;
        continue;
      }
      held.push(chunk.subarray(start, stop));
      heldBytes += stop - start;
      if (newline !== -1) {
        lines.push(...take(position + newline + 1, tooLong ? 'piece' : 'whole'));
        tooLong = false;
      } else if (heldBytes > MAX_LINE_BYTES) {
        tooLong = true;
        lines.push(...take(position + stop, 'piece'));
      }
      start = stop + 1;
    }
    return lines;
  };

  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) {
      if (heldBytes === 0 || settled) break;
      settled = true;
      await pause(options.settleMs);
      continue;
    }
    const lines = split(chunk.subarray(0, bytesRead));
    position += bytesRead;
    if (lines.length > 0) yield lines;
  }
  const rest = take(position, tooLong ? 'piece' : 'torn');
  if (rest.length > 0) yield rest;
}

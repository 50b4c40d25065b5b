import type { Writable } from 'node:stream';
import type { Output } from './terminal.js';

export interface GuardedOutput extends Output {
  /** Resolves when everything that was written has been handed over, or can't be. */
  flushed(): Promise<void>;
}

/**
 * A stream whose reader may go away, as `head` does: what is written afterwards is dropped, and nothing fails. The
 * command goes on, because its work counts, not who watches.
 */
export function guarded(
  stream: Writable & { readonly isTTY?: boolean; readonly columns?: number },
): GuardedOutput {
  let gone = false;
  stream.on('error', () => {
    gone = true;
  });
  return {
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
    write(text) {
      if (!gone) stream.write(text);
    },
    flushed: () =>
      new Promise((resolve) => {
        if (gone || stream.destroyed) resolve();
        else stream.write('', () => resolve());
      }),
  };
}

import type { Writable } from 'node:stream';
import type { Output } from './terminal.js';

export interface GuardedOutput extends Output {
  /** Resolves when everything that was written has been handed over, or can't be: with why, unless the reader went away. */
  flushed(): Promise<Error | undefined>;
}

/**
 * A stream whose reader may go away, as `head` does: what is written afterwards is dropped, and nothing fails. The
 * command goes on, because its work counts, not who watches.
 */
export function guarded(
  stream: Writable & { readonly isTTY?: boolean; readonly columns?: number },
): GuardedOutput {
  let failure: NodeJS.ErrnoException | undefined;
  stream.on('error', (error) => {
    failure ??= error;
  });
  return {
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
    write(text) {
      if (failure === undefined) stream.write(text);
    },
    async flushed() {
      if (failure === undefined && !stream.destroyed)
        await new Promise<void>((resolve) => stream.write('', () => resolve()));
      return failure?.code === 'EPIPE' ? undefined : failure;
    },
  };
}

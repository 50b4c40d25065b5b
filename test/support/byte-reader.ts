import type { Readable } from 'node:stream';

/** Reads a stream by the number of bytes or by the line. Rejects if it ends before. */
export interface ByteReader {
  take(bytes: number): Promise<Buffer>;
  /** Without its line break. */
  line(): Promise<string>;
  /** Throws everything away until the end. */
  drain(): Promise<never>;
}

export function byteReader(stream: Readable): ByteReader {
  const source = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let chunks: Buffer[] = [];
  let length = 0;

  async function pull(): Promise<void> {
    const { done, value } = await source.next();
    if (done) throw new Error('the stream ended');
    chunks.push(value);
    length += value.length;
  }

  function cut(bytes: number): Buffer {
    const all = Buffer.concat(chunks);
    chunks = [all.subarray(bytes)];
    length = all.length - bytes;
    return all.subarray(0, bytes);
  }

  return {
    async take(bytes) {
      while (length < bytes) await pull();
      return cut(bytes);
    },
    async line() {
      for (;;) {
        const all = Buffer.concat(chunks);
        const end = all.indexOf('\n');
        if (end >= 0) return cut(end + 1).toString('utf8', 0, end);
        await pull();
      }
    },
    async drain() {
      for (;;) {
        chunks = [];
        length = 0;
        await pull();
      }
    },
  };
}

import { type FileHandle, open } from 'node:fs/promises';

/** Lines that are on disk when the promise resolves: whoever waits shares one write and one fdatasync. */
export interface GroupCommit {
  append(line: string): Promise<void>;
  close(): Promise<void>;
}

export async function groupCommit(path: string): Promise<GroupCommit> {
  const file: FileHandle = await open(path, 'a');
  let waiting: {
    readonly line: string;
    readonly resolve: () => void;
    readonly reject: (e: unknown) => void;
  }[] = [];
  let running = false;

  async function run(): Promise<void> {
    running = true;
    await Promise.resolve();
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      try {
        const text = Buffer.from(group.map(({ line }) => line).join(''));
        const { bytesWritten } = await file.write(text);
        if (bytesWritten !== text.length) throw new Error('short write');
        await file.datasync();
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = false;
  }

  return {
    append: (line) =>
      new Promise((resolve, reject) => {
        waiting.push({ line, resolve, reject });
        if (!running) void run();
      }),
    close: () => file.close(),
  };
}

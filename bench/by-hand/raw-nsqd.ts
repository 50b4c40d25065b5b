import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A socket to nsqd that knows MPUB and its acknowledgement, and nothing else. */
export interface RawNsqd {
  /** Resolves when nsqd has acknowledged it. */
  send(frame: Buffer): Promise<void>;
  close(): void;
}

const OK_FRAME = Buffer.from([0, 0, 0, 6, 0, 0, 0, 0, 0x4f, 0x4b]);

export async function rawNsqd(address: string): Promise<RawNsqd> {
  const [host, port] = address.split(':');
  const socket: Socket = connect(Number(port), host);
  await once(socket, 'connect');
  socket.setNoDelay(true);
  socket.write('  V2');
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const end = 4 + rest.readUInt32BE(0);
      if (rest.length < end) break;
      const frame = rest.subarray(0, end);
      rest = rest.subarray(end);
      if (frame.equals(OK_FRAME)) waiting.shift()?.resolve();
      else if (frame.includes('_heartbeat_')) socket.write('NOP\n');
      else waiting.shift()?.reject(new Error(frame.toString('latin1')));
    }
  });
  return {
    send: (frame) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        socket.write(frame);
      }),
    close: () => socket.destroy(),
  };
}

export const IN_FLIGHT = 8;
const BATCH = 500;
/** nsqd takes 5 MiB at once; the library cuts at this. */
const BATCH_BYTES = 4_194_304;

/** How many events of that size go at once. Their messages are longer, by `sequence` and the like. */
export function batchOf(eventBytes: number): number {
  return Math.min(BATCH, Math.floor(BATCH_BYTES / (eventBytes + 100)));
}

/** One buffer, filled once. */
export function mpub(topic: string, bodies: readonly Buffer[]): Buffer {
  const head = `MPUB ${topic}\n`;
  let size = 4;
  for (let i = 0; i < bodies.length; i += 1) size += 4 + (bodies[i] as Buffer).length;
  const frame = Buffer.allocUnsafe(head.length + 4 + size);
  frame.write(head, 0, 'latin1');
  frame.writeUInt32BE(size, head.length);
  frame.writeUInt32BE(bodies.length, head.length + 4);
  let at = head.length + 8;
  for (let i = 0; i < bodies.length; i += 1) {
    const body = bodies[i] as Buffer;
    frame.writeUInt32BE(body.length, at);
    body.copy(frame, at + 4);
    at += 4 + body.length;
  }
  return frame;
}

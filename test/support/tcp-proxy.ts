import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * - `pass`: bytes go both ways;
 * - `mute`: requests go through, nothing comes back. What was not said is never said: cut before you end it;
 * - `trickle`: requests go through, what comes back comes slowly, in small pieces;
 * - `stall`: nothing goes through either way; all of it does when the mode changes;
 * - `cut before request`: the next request is lost, and the connection with it;
 * - `cut after request`: the next request goes through, then the connection is cut before its reply;
 * - `cut in reply`: the connection is cut half way through the next reply;
 * - `refuse`: no connection gets further than being accepted.
 */
export type ProxyMode =
  | 'pass'
  | 'mute'
  | 'trickle'
  | 'stall'
  | 'cut before request'
  | 'cut after request'
  | 'cut in reply'
  | 'refuse';

export interface TcpProxy {
  readonly port: number;
  mode: ProxyMode;
  /** Milliseconds that every piece waits on its way, in both directions. */
  delayMs: number;
  /** Connections taken so far. */
  readonly accepted: number;
  /** The connections of now are never heard of again, without being closed; new ones work. */
  forget(): void;
  /** Cuts all connections now. */
  cut(): void;
  close(): Promise<void>;
}

/** Stands between a client and a server on 127.0.0.1, to lose what is said at an exact point. */
export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const forgotten = new Set<Socket>();
  const stalled = new Set<() => void>();
  let accepted = 0;
  let mode: ProxyMode = 'pass';

  const server = createServer((client) => {
    accepted += 1;
    if (mode === 'refuse') {
      client.on('error', () => {});
      client.destroy();
      return;
    }
    const upstream = connect(target);
    const cutPair = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        cutPair();
      });
    }
    const toServer = lane((chunk) => {
      if (mode === 'cut before request') cutPair();
      else upstream.write(chunk);
    });
    let held = Buffer.alloc(0);
    const trickle = setInterval(() => {
      const piece = mode === 'trickle' ? held.subarray(0, 64) : held;
      held = held.subarray(piece.length);
      if (piece.length > 0) client.write(piece);
    }, 10);
    client.on('close', () => clearInterval(trickle));
    const toClient = lane((chunk) => {
      if (mode === 'cut after request') cutPair();
      else if (mode === 'cut in reply') client.write(chunk.subarray(0, chunk.length >> 1), cutPair);
      else if (mode === 'trickle' || held.length > 0) held = Buffer.concat([held, chunk]);
      else if (mode !== 'mute') client.write(chunk);
    });
    client.on('data', (chunk) => {
      if (!forgotten.has(client)) toServer(chunk);
    });
    upstream.on('data', (chunk) => {
      if (!forgotten.has(client)) toClient(chunk);
    });
  });

  /** Passes pieces on in their order, each after the delay and not while the proxy stalls. */
  function lane(pass: (chunk: Buffer) => void): (chunk: Buffer) => void {
    let waiting: { chunk: Buffer; from: number }[] = [];
    let timer: NodeJS.Timeout | undefined;
    const flush = () => {
      clearTimeout(timer);
      timer = undefined;
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        if (mode === 'stall') {
          stalled.add(flush);
          return;
        }
        const wait = next.from + proxy.delayMs - performance.now();
        if (wait > 0) {
          timer = setTimeout(flush, wait);
          return;
        }
        waiting = waiting.slice(1);
        pass(next.chunk);
      }
    };
    return (chunk) => {
      waiting.push({ chunk, from: performance.now() });
      if (timer === undefined) flush();
    };
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as { port: number }).port,
    get mode() {
      return mode;
    },
    set mode(next) {
      mode = next;
      const lanes = [...stalled];
      stalled.clear();
      for (const flush of lanes) flush();
    },
    delayMs: 0,
    get accepted() {
      return accepted;
    },
    forget() {
      for (const socket of sockets) forgotten.add(socket);
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * - `pass`: bytes go both ways;
 * - `mute`: requests go through, nothing comes back. What was not said is never said: cut before you end it;
 * - `stall`: nothing goes through either way; all of it does when the mode changes;
 * - `cut before request`: the next request is lost, and the connection with it;
 * - `cut after request`: the next request goes through, then the connection is cut before its reply;
 * - `cut in reply`: the connection is cut half way through the next reply;
 * - `refuse`: no connection gets further than being accepted.
 */
export type ProxyMode =
  | 'pass'
  | 'mute'
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
  /** Cuts all connections now. */
  cut(): void;
  close(): Promise<void>;
}

/** Stands between a client and a server on 127.0.0.1, to lose what is said at an exact point. */
export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const stalled = new Set<() => void>();
  let mode: ProxyMode = 'pass';

  const server = createServer((client) => {
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
    const toClient = lane((chunk) => {
      if (mode === 'cut after request') cutPair();
      else if (mode === 'cut in reply') client.write(chunk.subarray(0, chunk.length >> 1), cutPair);
      else if (mode !== 'mute') client.write(chunk);
    });
    client.on('data', toServer);
    upstream.on('data', toClient);
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

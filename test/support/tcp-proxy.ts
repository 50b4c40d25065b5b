import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * - `pass`: bytes go both ways;
 * - `mute`: requests go through, nothing comes back;
 * - `trickle`: requests go through, what comes back comes slowly, in small pieces;
 * - `cut after request`: the next request goes through, then the connection is cut before its reply.
 */
export type ProxyMode = 'pass' | 'mute' | 'trickle' | 'cut after request';

export interface TcpProxy {
  readonly port: number;
  mode: ProxyMode;
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
  let accepted = 0;
  const server = createServer((client) => {
    accepted += 1;
    let held = Buffer.alloc(0);
    const trickle = setInterval(() => {
      const piece = proxy.mode === 'trickle' ? held.subarray(0, 64) : held;
      held = held.subarray(piece.length);
      if (piece.length > 0) client.write(piece);
    }, 10);
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        clearInterval(trickle);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk) => {
      if (!forgotten.has(client)) upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (forgotten.has(client)) return;
      if (proxy.mode === 'trickle' || held.length > 0) held = Buffer.concat([held, chunk]);
      else if (proxy.mode === 'pass') client.write(chunk);
      else if (proxy.mode === 'cut after request') client.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as { port: number }).port,
    mode: 'pass',
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

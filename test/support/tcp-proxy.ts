import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * - `pass`: bytes go both ways;
 * - `mute`: requests go through, nothing comes back;
 * - `cut after request`: the next request goes through, then the connection is cut before its reply.
 */
export type ProxyMode = 'pass' | 'mute' | 'cut after request';

export interface TcpProxy {
  readonly port: number;
  mode: ProxyMode;
  /** Cuts all connections now. */
  cut(): void;
  close(): Promise<void>;
}

/** Stands between a client and a server on 127.0.0.1, to lose what is said at an exact point. */
export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk) => upstream.write(chunk));
    upstream.on('data', (chunk) => {
      if (proxy.mode === 'pass') client.write(chunk);
      else if (proxy.mode === 'cut after request') client.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as { port: number }).port,
    mode: 'pass',
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

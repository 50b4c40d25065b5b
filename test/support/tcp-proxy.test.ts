import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

/** A server that answers every line with `re: ` and the line, and remembers what it was asked. */
let asked: string[];
let server: Server;
let proxy: TcpProxy;
let clients: Socket[];

beforeEach(async () => {
  asked = [];
  clients = [];
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      asked.push(chunk.toString());
      socket.write(`re: ${chunk}`);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startTcpProxy({ host: '127.0.0.1', port: (server.address() as { port: number }).port });
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await proxy.close();
  server.close();
});

async function client() {
  const socket = connect(proxy.port, '127.0.0.1');
  clients.push(socket);
  const heard: string[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk) => heard.push(chunk.toString()));
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  const reply = async (text: string) => {
    socket.write(text);
    await once(socket, 'data');
  };
  return { socket, heard, closed, reply };
}

describe('a proxy', () => {
  it('passes bytes, and loses the request before the server has it', async () => {
    const { socket, heard, closed, reply } = await client();
    await reply('one');
    proxy.mode = 'cut before request';
    socket.write('two');
    await closed;
    expect(asked).toEqual(['one']);
    expect(heard).toEqual(['re: one']);
  });

  it('lets the request through and cuts before its reply, or half way through it', async () => {
    for (const [mode, expected] of [
      ['cut after request', []],
      ['cut in reply', ['re: ']],
    ] as const) {
      proxy.mode = 'pass';
      const { socket, heard, closed } = await client();
      proxy.mode = mode;
      socket.write('two2');
      await closed;
      expect(heard).toEqual(expected);
    }
    expect(asked).toEqual(['two2', 'two2']);
  });

  it('keeps everything while it stalls, and delivers it in order afterwards', async () => {
    const { socket, heard, reply } = await client();
    await reply('one');
    proxy.mode = 'stall';
    socket.write('two');
    const other = await client();
    other.socket.write('three');
    proxy.mode = 'pass';
    await Promise.all([once(socket, 'data'), once(other.socket, 'data')]);
    expect(asked.sort()).toEqual(['one', 'three', 'two']);
    expect(heard).toEqual(['re: one', 're: two']);
  });

  it('delays without changing the order', async () => {
    const { socket, heard } = await client();
    proxy.delayMs = 20;
    socket.write('one');
    await once(socket, 'data');
    proxy.delayMs = 0;
    socket.write('two');
    await once(socket, 'data');
    expect(heard).toEqual(['re: one', 're: two']);
  });

  it('refuses connections', async () => {
    proxy.mode = 'refuse';
    const { closed } = await client();
    await closed;
    expect(asked).toEqual([]);
  });
});

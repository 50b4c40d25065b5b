import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { isEventSessionsError } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { describe, expect, it } from 'vitest';
import { flood } from '../support/flood.js';
import { type Chance, fuzz } from './support/fuzz.js';
import { text } from './support/hostile.js';

const RESPONSE = 0;
const ERROR = 1;
const MESSAGE = 2;
const DEADLINE_MS = 100;

function frame(type: number, data: string | Buffer, size = Buffer.byteLength(data) + 4): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(size, 0);
  head.writeInt32BE(type, 4);
  return Buffer.concat([head, Buffer.from(data)]);
}

const bytes = (chance: Chance) => Buffer.from(chance.some(40, () => chance.below(256)));
const number32 = (chance: Chance) =>
  chance.pick([-(2 ** 31), -8, -4, -1, 0, 1, 3, 4, 5, 100, 65_537, 2 ** 31 - 1]);
const identity = JSON.stringify({ max_rdy_count: 2500, version: '1.3.0', tls_v1: false });

/** What a server that is no nsqd could answer to anything. */
const answer = (chance: Chance): Buffer =>
  chance.pick<() => Buffer>([
    () => bytes(chance),
    () => frame(chance.pick([RESPONSE, ERROR, MESSAGE, 3, -1, number32(chance)]), bytes(chance)),
    () => frame(RESPONSE, 'OK', number32(chance)),
    () => frame(RESPONSE, text(chance)),
    () =>
      frame(
        ERROR,
        chance.pick(['E_INVALID', 'E_BAD_TOPIC PUB', 'E_REQ_FAILED', 'E_FIN_FAILED x', text(chance)]),
      ),
    () => frame(RESPONSE, 'OK'),
    () => Buffer.concat(chance.some(30, () => frame(RESPONSE, 'OK'))),
    () => Buffer.concat(chance.some(30, () => frame(RESPONSE, '_heartbeat_'))),
    () => frame(RESPONSE, 'OK').subarray(0, chance.below(10)),
    () => frame(RESPONSE, identity),
    () =>
      frame(
        RESPONSE,
        chance.pick(['{', 'null', '[]', '{"tls_v1":true}', '{"deflate":true}', '{"snappy":true}']),
      ),
    () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    () => Buffer.from('-ERR unknown command\r\n'),
  ])();

/** A server that answers IDENTIFY as nsqd does, more often than not, and everything else by chance. */
async function startImpostor(chance: Chance) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    if (chance.happens(0.1)) socket.write(answer(chance));
    let greeted = false;
    socket.on('data', async () => {
      const honest = !greeted && chance.happens(0.8);
      greeted = true;
      const data = honest ? frame(RESPONSE, identity) : answer(chance);
      if (chance.happens(0.2)) {
        for (const byte of data) {
          socket.write(Buffer.of(byte));
          if (chance.happens(0.1)) await pause(1);
        }
      } else socket.write(data);
      if (chance.happens(0.15)) socket.end();
      else if (chance.happens(0.1)) socket.resetAndDestroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function batchOf(chance: Chance, number: number) {
  const topic = chance.pick(['a', 'b']);
  const events = Array.from({ length: 1 + chance.below(3) }, (_, i) => ({
    topic,
    sequence: number * 10 + i + 1,
    json: `{"specversion":"1.0","id":"e-${number}-${i}","datacontenttype":"application/json","data":${i}}`,
  }));
  return { sessionId: `s-${number}`, topic, events };
}

describe('a server that is no nsqd', () => {
  it('whatever it answers: every publish settles in time, with PUBLISH_FAILED if it fails', async () => {
    await fuzz('nsqd frames', 5, async (chance) => {
      const impostors = await Promise.all(
        chance
          .some(1, () => 0)
          .concat(0)
          .map(() => startImpostor(chance)),
      );
      const publisher = nsqPublisher({
        nsqd: impostors.map(({ address }) => address),
        deadlineMs: DEADLINE_MS,
        connectTimeoutMs: 50,
        reconnect: { minMs: 1, maxMs: 10 },
      });
      const calls = Array.from({ length: 1 + chance.below(8) }, async (_, number) => {
        if (chance.happens(0.5)) await pause(chance.below(20));
        return chance.happens(0.1) ? publisher.ping() : publisher.publish(batchOf(chance, number));
      });
      // A call that never settles ends the test by its timeout.
      for (const outcome of await Promise.allSettled(calls)) {
        if (outcome.status === 'fulfilled') continue;
        expect(isEventSessionsError(outcome.reason, 'PUBLISH_FAILED'), String(outcome.reason)).toBe(true);
      }
      await publisher.close();
      await Promise.all(impostors.map(({ stop }) => stop()));
    });
  });

  it('is not connected to over and over when it hangs up as soon as it has introduced itself', async () => {
    let accepted = 0;
    const server = createServer((socket) => {
      accepted += 1;
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.end(Buffer.concat([frame(RESPONSE, identity), frame(ERROR, 'E_INVALID')]));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const publisher = nsqPublisher({
      nsqd: `127.0.0.1:${port}`,
      deadlineMs: 1_000,
      reconnect: { minMs: 100 },
    });
    const call = publisher.publish({ sessionId: 's', topic: 'a', events: [] });
    await expect(call).rejects.toMatchObject({ code: 'PUBLISH_FAILED', outcome: 'not_done' });
    expect(accepted).toBeLessThan(12);
    await publisher.close();
    server.close();
    await once(server, 'close');
  });

  it.each([
    ['a frame that never ends', frame(RESPONSE, '', 2 ** 31 - 1), Buffer.alloc(65_536)],
    ['frames of no known type', Buffer.alloc(0), frame(77, Buffer.alloc(60_000))],
    ['messages nobody asked for', Buffer.alloc(0), frame(MESSAGE, Buffer.alloc(60_000))],
    ['heartbeats', Buffer.alloc(0), Buffer.concat(Array(500).fill(frame(RESPONSE, '_heartbeat_')))],
    ['acknowledgements', Buffer.alloc(0), Buffer.concat(Array(500).fill(frame(RESPONSE, 'OK')))],
  ])('is left when it floods an idle connection with %s', async (_, first, again) => {
    let sent = 0;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(frame(RESPONSE, identity));
        socket.write(first);
        // In a piece of its own: the connection is ready, and nobody waits for it.
        setImmediate(() =>
          flood(socket, again, (bytes) => {
            sent += bytes;
          }),
        );
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const closed = new Promise((resolve) => {
      server.on('connection', (socket) => socket.on('close', resolve));
    });
    const publisher = nsqPublisher({ nsqd: `127.0.0.1:${port}` });
    await publisher.ping().catch(() => {});
    await closed;
    // What is beyond the buffers of two sockets never left.
    expect(sent).toBeLessThan(64 * 1024 ** 2);
    await publisher.close();
    server.close();
    await once(server, 'close');
  });
});

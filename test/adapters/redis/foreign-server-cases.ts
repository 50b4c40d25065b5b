import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { isEventSessionsError, type SessionStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { replyGuard } from '../../../src/adapters/redis/reply-guard.js';
import { newSession } from '../../../src/testing/store-sessions.js';
import { flood } from '../../support/flood.js';
import { describeWith } from '../../support/services.js';

const OK = '+OK\r\n';
const PONG = '+PONG\r\n';

/** A server that lets a client get ready, and then answers each command with that; without a greeting, from the first on. */
async function serverThatAnswers(answer: (socket: Socket, command: string) => void, { greets = true } = {}) {
  let accepted = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const [, command] of data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        if (greets && command === 'client') socket.write(OK);
        else if (greets && command === 'ping') socket.write(PONG);
        else answer(socket, command ?? '');
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as { port: number };
  const store = redisStore({ url: `redis://127.0.0.1:${port}`, deadlineMs: 10_000 });
  onTestFinished(() => store.close());
  return { store, accepted: () => accepted };
}

async function faultOf(store: SessionStore): Promise<{ outcome: unknown; message: string }> {
  try {
    await store.start(newSession());
  } catch (error) {
    if (isEventSessionsError(error, 'STORE_UNAVAILABLE'))
      return { outcome: error.outcome, message: error.message };
    throw error;
  }
  throw new Error('it was done');
}

const GARBAGE: [what: string, bytes: string, reason: RegExp][] = [
  ['an array too long for an array', '*4294967296\r\n', /4294967296 elements/],
  ['an array without end', '*4294967295\r\n', /4294967295 elements/],
  ['a bulk string without end', '$4294967296\r\n', /a reply of 42949673\d\d bytes/],
  ['a length of no meaning', '$99999999999999999999999\r\n', /bytes/],
  ['a huge element', '*2\r\n$4294967296\r\n', /bytes/],
  ['arrays within arrays', '*1\r\n'.repeat(100_000), /levels/],
  ['large arrays within arrays', '*1048576\r\n'.repeat(4), /elements/],
  ['a length that is none', '*-x\r\n', /a number that is none/],
  ['half a line end', ':1\n', /a number that is none/],
  ['the other half', '+OK\rx', /a broken line/],
  ['a line without end', `+${'x'.repeat(1_000_000)}`, /a line without an end/],
  ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', /type "H"/],
  ['RESP3', '>2\r\n+a\r\n+b\r\n', /type ">"/],
  ['zeros', '\0\0\0', /type "\\u0000"/],
  ['two replies for one', '+OK\r\n+OK\r\n', /nobody has asked for/],
  ['nothing for nothing', '+OK\r\n$-1\r\n', /nobody has asked for/],
];

describe('a server that is no Redis', () => {
  test.each(GARBAGE)(
    'that answers %s is left, and the fault is one of the store',
    async (_, garbage, reason) => {
      const { store, accepted } = await serverThatAnswers((socket) => socket.write(garbage));
      const fault = await faultOf(store);
      expect(fault.outcome).toBe('unknown');
      expect(fault.message).toMatch(reason);
      await faultOf(store);
      expect(accepted()).toBe(2);
    },
  );

  test.each(GARBAGE)('that greets with %s is not done', async (_, garbage) => {
    const { store } = await serverThatAnswers((socket) => socket.write(garbage), { greets: false });
    expect(await faultOf(store)).toMatchObject({
      outcome: 'not_done',
      message: expect.stringMatching(/^Redis cannot be reached: this is no Redis/),
    });
  });

  test.each([
    ['replies', Buffer.from(OK.repeat(10_000))],
    ['a line', Buffer.alloc(65_536, 'x')],
    ['an array', Buffer.from(':1\r\n'.repeat(10_000))],
  ])('that floods with %s is left', async (what, again) => {
    let sent = 0;
    const first = what === 'an array' ? '*1048576\r\n*1048575\r\n' : what === 'a line' ? '+' : '';
    let closed: Promise<void> | undefined;
    const { store } = await serverThatAnswers((socket) => {
      closed ??= new Promise((resolve) => socket.once('close', () => resolve()));
      socket.write(first);
      flood(socket, again, (bytes) => {
        sent += bytes;
      });
    });
    expect((await faultOf(store)).message).toMatch(/this is no Redis/);
    await closed;
    // What is beyond the buffers of two sockets never left.
    expect(sent).toBeLessThan(64 * 1024 ** 2);
  });
});

test('a master that says in the words of Redis 6.2 that it has become a replica is left', async () => {
  const place = `Error running script (call to f_${'0'.repeat(40)}): @user_script:8: @user_script: 8:`;
  const { store, accepted } = await serverThatAnswers((socket) =>
    socket.write(`-ERR ${place} -READONLY You can't write against a read only replica.\r\n`),
  );
  for (const connections of [1, 2]) {
    expect((await faultOf(store)).outcome).toBe('not_done');
    expect(accepted()).toBe(connections);
  }
});

test('a server that loads its data is not done, tells why, and is not connected to anew', async () => {
  const info = 'loading:1\r\nloading_eta_seconds:3600\r\n';
  const { store, accepted } = await serverThatAnswers(
    (socket, command) =>
      socket.write(
        command === 'info'
          ? `$${info.length}\r\n${info}\r\n`
          : '-LOADING Redis is loading the dataset in memory\r\n',
      ),
    { greets: false },
  );
  const fault = { outcome: 'not_done', message: 'Redis: LOADING Redis is loading the dataset in memory' };
  expect(await faultOf(store)).toEqual(fault);
  expect(await faultOf(store)).toEqual(fault);
  expect(accepted()).toBe(1);
});

describe('the guard', () => {
  const replies =
    '*2\r\n$3\r\na\r\n\r\n*3\r\n:-1\r\n$-1\r\n*0\r\n+OK\r\n-ERR no\r\n*-1\r\n$0\r\n\r\n:12345678901234567890\r\n';

  test('lets through what Redis answers, however it is cut', () => {
    const bytes = Buffer.from(replies);
    for (let size = 1; size <= bytes.length; size += 1) {
      const guard = replyGuard();
      for (let at = 0; at < bytes.length; at += size) {
        expect(guard.objectionTo(bytes.subarray(at, at + size), 6)).toBeUndefined();
      }
    }
  });

  test('counts replies, not what is within them', () => {
    expect(replyGuard().objectionTo(Buffer.from(replies), 6)).toBeUndefined();
    expect(replyGuard().objectionTo(Buffer.from(replies), 5)?.message).toMatch(/nobody has asked for/);
  });
});

describeWith('redis', ({ url }) => {
  test('a database that the server does not have is an error, and not another database', async () => {
    const store = redisStore({ url: `${url}/99999` });
    onTestFinished(() => store.close());
    expect(await faultOf(store)).toMatchObject({
      outcome: 'not_done',
      message: expect.stringContaining('DB index is out of range'),
    });
  });
});

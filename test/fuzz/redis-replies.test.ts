import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { isEventSessionsError, type SessionStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LIMITS, newEvent } from '../../src/testing/store-sessions.js';
import { METHODS, RECEIPT } from '../support/store-calls.js';

const SECONDS = 10 * Number(process.env.FUZZ_TIMES ?? 1);
const DEADLINE_MS = 100;

const ID = 's-1';
const CALLS: ((store: SessionStore) => Promise<unknown>)[] = [
  ...Object.values(METHODS),
  (store) => store.append(ID, [{ ...newEvent(ID), id: 'w-1' }], LIMITS, 1),
  (store) => store.extend(ID, undefined),
  (store) => store.list({ limit: 1 }),
  (store) => store.list({ limit: 2, cursor: '5:a', status: 'open' }),
  (store) => store.due(2),
];

/** What the scripts answer, in pieces. */
const WORDS = [
  ...[
    'created',
    'exists',
    'appended',
    'other',
    'limit_exceeded',
    'extended',
    'granted',
    'in_progress',
    'mismatch',
  ],
  ...['corrupt', 'done', 'stale', 'not_due', 'not_found', 'not_open', 'events', 'bytes'],
  ...['open', 'committing', 'committed', 'rolled_back', 'expired'],
  ...['', '0', '1', '5', '0,1', '-1', '1.5', '1e3', '99999999999999999', 'inf', 'nan', 'a', 'b'],
  ...[
    'a {}',
    ' {}',
    'topic',
    '{}',
    '[]',
    '{',
    'null',
    '{"status":"open","at":1,"instance":"i"}',
    JSON.stringify(RECEIPT),
  ],
];

const bulk = (text: string) => `$${Buffer.byteLength(text, 'latin1')}\r\n${text}\r\n`;
const array = (elements: readonly string[]) => `*${elements.length}\r\n${elements.join('')}`;
const word = fc.constantFrom(...WORDS).map(bulk);

/** RESP in latin1: what Redis could answer, to something else. */
const { value } = fc.letrec<{ value: string; flat: string }>((tie) => ({
  flat: fc.array(word, { maxLength: 12 }).map(array),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word,
    fc.string({ unit: 'binary-ascii' }).map(bulk),
    fc.constantFrom(
      '$-1\r\n',
      '*-1\r\n',
      '*0\r\n',
      ':0\r\n',
      ':1\r\n',
      ':-1\r\n',
      ':9007199254740993\r\n',
      '+OK\r\n',
    ),
    fc.constantFrom(
      '-ERR no\r\n',
      '-NOSCRIPT\r\n',
      '-READONLY x\r\n',
      '-LOADING x\r\n',
      '-MOVED 1 127.0.0.1:1\r\n',
    ),
    tie('flat'),
    fc.array(tie('value'), { maxLength: 6 }).map(array),
    fc.tuple(word, tie('flat')).map(array),
  ),
}));

/** No RESP, or not within bounds, or not what was asked for. */
const garbage = fc.oneof(
  fc.constantFrom(
    '*4294967296\r\n',
    '*4294967295\r\n',
    '$4294967296\r\n',
    '*1048576\r\n',
    '$536870912\r\n',
    '*1\r\n'.repeat(9_999),
  ),
  fc.constantFrom('HTTP/1.1 400 Bad Request\r\n\r\n', '%1\r\n', '_\r\n', '\r\n', '\0', '$-1', '*', ''),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.tuple(value, value).map(([first, second]) => first + second),
  fc.tuple(value, fc.nat(8)).map(([whole, at]) => whole.slice(0, at)),
);

const reply = fc.oneof({ arbitrary: value, weight: 12 }, { arbitrary: garbage, weight: 1 });

interface Manners {
  readonly replies: readonly string[];
  /** Answers what a client asks before it is ready as Redis does. */
  readonly greets: boolean;
  /** Bytes that it sends at once. */
  readonly piece: number;
}

async function startImpostor() {
  let manners: Manners = { replies: [], greets: true, piece: 1 };
  let next = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay(true));
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data) => {
      for (const [, command] of data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        if (manners.greets && command === 'client') socket.write('+OK\r\n');
        else if (manners.greets && command === 'ping') socket.write('+PONG\r\n');
        else {
          const { replies, piece } = manners;
          const bytes = Buffer.from(replies[next % replies.length] ?? '', 'latin1');
          next += 1;
          for (let at = 0; at < bytes.length; at += piece) socket.write(bytes.subarray(at, at + piece));
        }
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `redis://127.0.0.1:${(server.address() as { port: number }).port}`,
    behave(as: Manners) {
      manners = as;
      next = 0;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function hasNoNumber(answer: unknown): boolean {
  if (typeof answer === 'number') return !Number.isFinite(answer);
  return typeof answer === 'object' && answer !== null && Object.values(answer).some(hasNoNumber);
}

it('a server that is no Redis, whatever it answers: every call settles, with STORE_UNAVAILABLE if it fails', async () => {
  const impostor = await startImpostor();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        replies: fc.array(reply, { minLength: 1, maxLength: 8 }),
        greets: fc.oneof(
          { arbitrary: fc.constant(true), weight: 9 },
          { arbitrary: fc.constant(false), weight: 1 },
        ),
        piece: fc.constantFrom(1, 7, 10_000),
      }),
      fc.array(fc.constantFrom(...CALLS), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (manners, calls, together) => {
        runs += 1;
        impostor.behave(manners);
        const store = redisStore({ url: impostor.url, deadlineMs: DEADLINE_MS });
        const settled: PromiseSettledResult<unknown>[] = [];
        if (together) settled.push(...(await Promise.allSettled(calls.map((call) => call(store)))));
        else for (const call of calls) settled.push(...(await Promise.allSettled([call(store)])));
        await store.close();
        for (const outcome of settled) {
          if (outcome.status === 'fulfilled') expect(hasNoNumber(outcome.value)).toBe(false);
          else
            expect(isEventSessionsError(outcome.reason, 'STORE_UNAVAILABLE'), String(outcome.reason)).toBe(
              true,
            );
        }
      },
    ),
    { numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: SECONDS * 1_000 },
  );
  await impostor.stop();
  console.log(`fuzz redis replies: ${runs} runs`);
});

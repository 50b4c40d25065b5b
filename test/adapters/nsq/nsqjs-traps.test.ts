import { describe, expect, it, vi } from 'vitest';
import { refusalOf, toError } from '../../../src/adapters/nsq/nsq-failure.js';
import { cloudEvents } from '../../../src/core/codecs.js';
import { waitFor } from '../../support/wait-for.js';
import { aDouble, aPublisher, batchOf, endings, gate } from './support.js';

/** What nsqjs does that an application must not feel. Each was seen with nsqjs 0.13. */
describe('nsqjs', () => {
  it('emits `error` twice on ECONNREFUSED: one failure here, no crash, no unhandled rejection', async () => {
    const nsqd = await aDouble();
    await nsqd.pause();
    const publisher = aPublisher(nsqd.tcp);
    expect(await endings(publisher.publish(batchOf('orders', [1])))).toEqual(['not_done']);
    expect(await endings(publisher.ping())).toEqual(['not_done']);
  });

  it('crashes the process on an error nobody listens to: a reset while idle is survived', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    nsqd.disconnect('reset');
    await waitFor(() => expect(nsqd.open).toBe(0));
    const again = () => publisher.publish(batchOf('orders', [2], 2));
    await again().catch(again);
    expect(nsqd.bodies()).toEqual(['1', '2']);
  });

  it('sends twice what is published before `ready`: here it is sent once', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await Promise.all([1, 2, 3].map((n) => publisher.publish(batchOf('orders', [n], n))));
    await publisher.close();
    await waitFor(() => expect(nsqd.open).toBe(0));
    expect(nsqd.requests.map(({ bodies }) => bodies)).toEqual([['1'], ['2'], ['3']]);
    expect(nsqd.commands[0]).toMatch(/IDENTIFY/);
  });

  it('never reconnects: here the next call does', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    await nsqd.pause();
    expect(await endings(publisher.publish(batchOf('orders', [2], 2)))).not.toEqual(['ok']);
    await nsqd.resume();
    await publisher.publish(batchOf('orders', [2], 2));
    expect(nsqd.bodies()).toEqual(['1', '2']);
    expect(nsqd.accepted).toBe(2);
  });

  it('never calls back when nsqd stalls: here (G7) the deadline does, and the socket is gone', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = () => 'stall';
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 1_000 });
    const error = await publisher.publish(batchOf('orders', [1])).catch((reason) => reason);
    expect(error).toMatchObject({ outcome: 'unknown', message: expect.stringContaining('within 1000 ms') });
    await waitFor(() => expect(nsqd.open).toBe(0));
  });

  it('has no backpressure: here (G7) no more than maxInFlightBytes are handed over', async () => {
    const nsqd = await aDouble();
    const kilobyte = 'k'.repeat(1_022);
    const unacknowledged: number[] = [];
    // The double reads on while it has not answered, so that it sees all that was handed over.
    let release = () => {};
    nsqd.onRequest = () =>
      new Promise((resolve) => {
        release = () => resolve('acknowledge');
      });
    const publisher = aPublisher(nsqd.tcp, { maxInFlightBytes: 10 * 1_028, deadlineMs: 20_000 });
    const written = vi.spyOn((await import('node:net')).Socket.prototype, 'write');
    const bytesWritten = () =>
      written.mock.calls.reduce((sum, [chunk]) => {
        const text = Buffer.isBuffer(chunk) ? chunk : Buffer.from('');
        return text.subarray(0, 4).toString() === 'PUB ' ? sum + text.length : sum;
      }, 0);
    const calls = Array.from({ length: 100 }, (_, n) =>
      publisher.publish(batchOf('orders', [kilobyte], n + 1)),
    );
    for (let acknowledged = 0; acknowledged < 100; acknowledged++) {
      await waitFor(() => expect(nsqd.requests).toHaveLength(acknowledged + 1), 1);
      unacknowledged.push(bytesWritten() - acknowledged * 1_039);
      release();
    }
    await Promise.all(calls);
    written.mockRestore();
    // `PUB orders\n`, four bytes of length, 1,024 of body.
    expect(Math.max(...unacknowledged)).toBeLessThanOrEqual(11 * 1_039);
    expect(Math.max(...unacknowledged)).toBeGreaterThanOrEqual(9 * 1_039);
  });

  it('makes a buffer of each message at once: here (G7) only of what is handed over', async () => {
    const nsqd = await aDouble();
    const identified = gate<'answer'>();
    nsqd.onIdentify = () => identified.opened;
    const publisher = aPublisher(nsqd.tcp, { codec: cloudEvents(), deadlineMs: 20_000 });
    const megabyte = 'm'.repeat(1_000_000);
    const before = process.memoryUsage().arrayBuffers;
    const calls = Array.from({ length: 64 }, (_, n) =>
      publisher.publish(batchOf('orders', [megabyte], n + 1)),
    );
    const ended = endings(...calls);
    await waitFor(() => expect(nsqd.commands).toEqual(['1 IDENTIFY']));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * megabyte.length);
    identified.open('answer');
    expect(new Set(await ended)).toEqual(new Set(['ok']));
    expect(nsqd.taken).toHaveLength(64);
  });

  it('waits 5 s for the answer to IDENTIFY: here as long as connectTimeoutMs says', async () => {
    const nsqd = await aDouble();
    const identified = gate<'answer'>();
    nsqd.onIdentify = () => identified.opened;
    const { setTimeout } = globalThis;
    const timers = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((late: () => void, ms: number) => {
      if (ms !== 5_000) return setTimeout(late, ms);
      return setTimeout(() => {
        late();
        identified.open('answer');
      }, 1);
    }) as typeof setTimeout);
    const publisher = aPublisher(nsqd.tcp, { connectTimeoutMs: 10_000, deadlineMs: 20_000 });
    expect(await endings(publisher.ping())).toEqual(['ok']);
    timers.mockRestore();
    expect(nsqd.accepted, 'the connection, and the one that tests it').toBe(2);
  });

  it('fails the callbacks of delivered messages on close(): here close waits for them', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    const calls = [1, 2, 3].map((n) => publisher.publish(batchOf('orders', [n], n)));
    await waitFor(() => expect(nsqd.requests.length).toBeGreaterThan(0));
    await publisher.close();
    expect(await endings(...calls)).toEqual(['ok', 'ok', 'ok']);
  });

  it('sends CLS, which nsqd answers with an error for a producer: here it does not', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    await publisher.close();
    await waitFor(() => expect(nsqd.open).toBe(0));
    expect(nsqd.commands.map((command) => command.split(' ')[1])).toEqual(['IDENTIFY', 'PUB']);
  });

  it.each(['orders\nPUB other', 'orders\n', 'orders other', '', 'é', 'x'.repeat(65), 'orders#temporary'])(
    'does not look at topics: here %j is refused before anything is sent',
    async (topic) => {
      const nsqd = await aDouble();
      const publisher = aPublisher(nsqd.tcp);
      expect(await endings(publisher.publish(batchOf(topic, [1])))).toEqual(['INVALID_TOPIC refused']);
      expect(nsqd.accepted).toBe(0);
    },
  );

  it('takes every topic that nsqd takes', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    for (const topic of ['a', 'A.b_c-9', 'x'.repeat(64), 'orders#ephemeral']) {
      await publisher.publish(batchOf(topic, [1]));
    }
    expect(nsqd.taken).toHaveLength(4);
  });

  it('sends what is too large and loses the connection: here it is refused first, with all of its batch', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { maxMessageBytes: 12 });
    const call = publisher.publish(batchOf('orders', ['fine', 'é'.repeat(6), 'fine']));
    await expect(call).rejects.toMatchObject({
      code: 'PUBLISH_FAILED',
      outcome: 'refused',
      eventId: 'e-2',
      limit: 12,
      actual: 14,
    });
    expect(nsqd.accepted).toBe(0);
    await publisher.publish(batchOf('orders', ['é'.repeat(5)]));
  });

  it('sends an empty body and loses the connection: here it is refused first', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { codec: { contentType: 'text/plain', encode: () => '' } });
    expect(await endings(publisher.publish(batchOf('orders', [1])))).toEqual(['refused']);
    expect(nsqd.accepted).toBe(0);
  });

  it('answers heartbeats, and does not take one for an acknowledgement', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    nsqd.heartbeat();
    await waitFor(() => expect(nsqd.commands).toContain('1 NOP'));
    nsqd.onRequest = () => {
      nsqd.heartbeat();
      return 'cut before';
    };
    expect(await endings(publisher.publish(batchOf('orders', [2], 2)))).toEqual(['unknown']);
  });

  it('calls back with what is no Error: here the cause always is one', () => {
    expect(toError('E_BAD_TOPIC bad').message).toBe('E_BAD_TOPIC bad');
    expect(toError(undefined)).toBeInstanceOf(Error);
    expect(toError(null)).toBeInstanceOf(Error);
    expect(toError({ code: 1 }).message).toBe('{"code":1}');
    expect(refusalOf('E_BAD_BODY too big')).toEqual({ code: 'E_BAD_BODY', outcome: 'refused' });
    expect(refusalOf({})).toBeUndefined();
  });

  it('lets a codec that throws fail its batch only', async () => {
    const nsqd = await aDouble();
    const codec = {
      contentType: 'text/plain',
      encode: (event: { sequence: number }) => {
        if (event.sequence === 1) throw new TypeError('cannot encode');
        return 'text';
      },
    };
    const publisher = aPublisher(nsqd.tcp, { codec });
    expect(await endings(publisher.publish(batchOf('orders', [1])))).toEqual(['refused']);
    await publisher.publish(batchOf('orders', [2], 2));
  });

  it('lets a codec that answers a promise, or no text at all, fail its batch only', async () => {
    const nsqd = await aDouble();
    const answers: (() => unknown)[] = [
      () => Promise.resolve('text'),
      () => Promise.reject(new Error('late')),
      () => undefined,
      () => 5,
      () => 'text',
    ];
    const encode = () => answers.shift()?.() as string;
    const publisher = aPublisher(nsqd.tcp, { codec: { contentType: 'text/plain', encode } });
    for (const expected of ['an object', 'an object', 'undefined', '5']) {
      const refused = publisher.publish(batchOf('orders', [1]));
      await expect(refused).rejects.toMatchObject({
        code: 'PUBLISH_FAILED',
        outcome: 'refused',
        cause: { message: `encode answered ${expected}, not a string or a Uint8Array` },
      });
    }
    await publisher.publish(batchOf('orders', [2], 2));
    expect(nsqd.bodies()).toEqual(['text']);
  });
});

import { describe, expect, it } from 'vitest';
import { nsqPublisher } from '../../../src/adapters/nsq/index.js';
import { cloudEvents, json } from '../../../src/core/codecs.js';
import type { DoubleAction } from '../../support/nsqd-double.js';
import { waitFor } from '../../support/wait-for.js';
import { aDouble, aPublisher, batchOf, endings, gate } from './support.js';

const EMOJI = 'olá 🐘 ñandú 日本語 \u2028';

describe('publish', () => {
  it('hands over one message as PUB and several as one MPUB, in order', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', ['one']));
    await publisher.publish(batchOf('orders', ['two', 'three'], 2));
    expect(nsqd.taken.map(({ command, bodies }) => [command, bodies])).toEqual([
      ['PUB', ['"one"']],
      ['MPUB', ['"two"', '"three"']],
    ]);
  });

  it('sends the whole CloudEvent unless another codec is given', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { codec: cloudEvents() });
    await publisher.publish(batchOf('orders', [{ total: 42 }], 7));
    const [body = ''] = nsqd.bodies();
    expect(JSON.parse(body)).toMatchObject({ id: 'e-7', sequence: '0000000007', data: { total: 42 } });
  });

  it('counts the bytes of text that is not ASCII, alone and among others', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [EMOJI]));
    await publisher.publish(batchOf('orders', [EMOJI, 'plain', `${EMOJI}${EMOJI}`], 2));
    expect(nsqd.bodies().map((body) => JSON.parse(body))).toEqual([
      EMOJI,
      EMOJI,
      'plain',
      `${EMOJI}${EMOJI}`,
    ]);
  });

  it('sends the bytes of a codec that makes a Uint8Array, not JSON of it', async () => {
    const nsqd = await aDouble();
    const bytes = new TextEncoder();
    const codec = {
      contentType: 'text/plain',
      encode: () => new Uint8Array(bytes.encode('..raw..').buffer, 2, 3),
    };
    const publisher = aPublisher(nsqd.tcp, { codec });
    await publisher.publish(batchOf('orders', [1]));
    await publisher.publish(batchOf('orders', [2, 3], 2));
    expect(nsqd.bodies()).toEqual(['raw', 'raw', 'raw']);
  });

  it('connects at the first call, once for all that are made meanwhile', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    expect(nsqd.accepted).toBe(0);
    const calls = [1, 2, 3, 4].map((n) => publisher.publish(batchOf(`topic-${n}`, [n], n)));
    await Promise.all(calls);
    expect(nsqd.accepted).toBe(1);
    expect(nsqd.bodies()).toEqual(['1', '2', '3', '4']);
  });

  it('takes a batch without events for done', async () => {
    const nsqd = await aDouble();
    await aPublisher(nsqd.tcp).publish(batchOf('orders', []));
    expect(nsqd.requests).toEqual([]);
  });
});

describe('cutting', () => {
  it('cuts a batch by the number of messages', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { maxRequestMessages: 2 });
    await publisher.publish(batchOf('orders', [1, 2, 3, 4, 5]));
    expect(nsqd.taken.map(({ bodies }) => bodies)).toEqual([['1', '2'], ['3', '4'], ['5']]);
  });

  it('cuts a batch by bytes as nsqd counts them, up to the last one', async () => {
    const nsqd = await aDouble();
    // 4 for the count, and (4 + 10) for each message.
    const publisher = aPublisher(nsqd.tcp, { maxRequestBytes: 4 + 3 * 14 });
    const body = 'x'.repeat(8);
    await publisher.publish(batchOf('orders', Array(7).fill(body)));
    expect(nsqd.taken.map(({ bytes, command }) => [command, bytes])).toEqual([
      ['MPUB', 46],
      ['MPUB', 46],
      ['PUB', 10],
    ]);
  });

  it('cuts one byte before nsqd would refuse the request', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { maxRequestBytes: 4 + 3 * 14 - 1 });
    await publisher.publish(batchOf('orders', Array(4).fill('x'.repeat(8))));
    expect(nsqd.taken.map(({ bytes }) => bytes)).toEqual([32, 32]);
  });

  it('hands over the next request before the one before it is acknowledged', async () => {
    const nsqd = await aDouble();
    const first = gate<DoubleAction>();
    nsqd.onRequest = (request) => (request.bodies[0] === '1' ? first.opened : 'acknowledge');
    const publisher = aPublisher(nsqd.tcp, { maxRequestMessages: 1 });
    const call = publisher.publish(batchOf('orders', [1, 2, 3]));
    await waitFor(() => expect(nsqd.requests).toHaveLength(1));
    first.open('acknowledge');
    await call;
    expect(nsqd.bodies()).toEqual(['1', '2', '3']);
  });

  it('sends a message that is as large as a request may be', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { maxMessageBytes: 100, maxRequestBytes: 20 });
    await publisher.publish(batchOf('orders', ['y'.repeat(98), 1]));
    expect(nsqd.taken.map(({ command }) => command)).toEqual(['PUB', 'PUB']);
  });
});

describe('ping', () => {
  it('connects, and that connection serves the next publish', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.ping();
    await waitFor(() => expect(nsqd.open).toBe(1));
    await publisher.publish(batchOf('orders', [1]));
    expect(nsqd.taken.map(({ connection }) => connection)).toEqual([1]);
    expect(nsqd.accepted).toBe(2);
  });

  it('tests an open connection by a second one, which it closes', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    await publisher.ping();
    await waitFor(() => expect(nsqd.open).toBe(1));
    expect(nsqd.accepted).toBe(2);
    await publisher.publish(batchOf('orders', [2], 2));
    expect(nsqd.taken.map(({ connection }) => connection)).toEqual([1, 1]);
  });

  it('says which nsqd it could not reach', async () => {
    const nsqd = await aDouble();
    await nsqd.pause();
    const publisher = aPublisher(nsqd.tcp);
    await expect(publisher.ping()).rejects.toMatchObject({
      code: 'PUBLISH_FAILED',
      outcome: 'not_done',
      message: expect.stringContaining(`${nsqd.tcp} (connect ECONNREFUSED`),
    });
  });

  it('fails when a nsqd accepts connections but no longer answers, and works again when it does', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { connectTimeoutMs: 1_000 });
    await publisher.ping();
    nsqd.onIdentify = () => 'stall';
    await expect(publisher.ping()).rejects.toMatchObject({ outcome: 'not_done' });
    nsqd.onIdentify = () => 'answer';
    await publisher.ping();
  });

  it('moves an idle publisher to another nsqd when the one in use is gone', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    const publisher = aPublisher([first.tcp, second.tcp], { connectTimeoutMs: 1_000 });
    await publisher.publish(batchOf('orders', [1]));
    first.onIdentify = () => 'stall';
    await publisher.ping();
    await publisher.publish(batchOf('orders', [2], 2));
    expect([first.bodies(), second.bodies()]).toEqual([['1'], ['2']]);
  });

  it('does not outlive its deadline', async () => {
    const nsqd = await aDouble();
    nsqd.onIdentify = () => 'stall';
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 30 });
    await expect(publisher.ping()).rejects.toThrow('no answer within 30 ms');
  });
});

describe('options', () => {
  it('takes the address of an IPv6 host, and a list', () => {
    nsqPublisher({ nsqd: ['[::1]:4150', 'nsqd.example:4150'] });
    nsqPublisher();
  });

  it.each([
    ['nsqd', { nsqd: 'localhost' }],
    ['nsqd', { nsqd: 4150 }],
    ['nsqd', { nsqd: [] }],
    ['nsqd', { nsqd: ['a:1', 'a:0'] }],
    ['nsqd', { nsqd: 'a:65536' }],
    ['nsqd', { nsqd: 'tcp://a:4150' }],
    ['codec', { codec: 'json' }],
    ['deadlineMs', { deadlineMs: '5s' }],
    ['connectTimeoutMs', { connectTimeoutMs: 0 }],
    ['maxMessageBytes', { maxMessageBytes: 1.5 }],
    ['maxRequestMessages', { maxRequestMessages: Number.NaN }],
    ['maxInFlightBytes', { maxInFlightBytes: -1 }],
    ['reconnect.minMs', { reconnect: { minMs: null } }],
    ['deadlineMS', { deadlineMS: 1 }],
  ])('refuses a wrong %s: %o', (path, options) => {
    const make = () => nsqPublisher(options as never);
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining(path) }),
    );
  });

  it('declares the largest event, with room for what the codec adds', () => {
    const codec = { ...json(), overheadBytes: 24 };
    expect(nsqPublisher({ codec, maxMessageBytes: 1000 }).limits).toEqual({ maxEventBytes: 976 });
    expect(nsqPublisher().limits).toEqual({ maxEventBytes: 1_048_576 });
  });
});

describe('close', () => {
  it('lets what is in progress get through, connecting included, and takes nothing new', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    const before = publisher.publish(batchOf('orders', [1]));
    const closed = publisher.close();
    const after = publisher.publish(batchOf('orders', [2], 2));
    expect(await endings(before, after, publisher.ping())).toEqual([
      'ok',
      'CLOSED not_done',
      'CLOSED not_done',
    ]);
    await closed;
    await waitFor(() => expect(nsqd.open).toBe(0));
    expect(nsqd.bodies()).toEqual(['1']);
  });

  it('can be repeated, and closes a publisher that never connected', async () => {
    const publisher = nsqPublisher();
    await publisher.close();
    await publisher.close();
  });

  it('waits no longer than the deadline of a call in progress', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = () => 'stall';
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 1_000 });
    const call = publisher.publish(batchOf('orders', [1]));
    const closed = publisher.close();
    expect(await endings(call, closed)).toEqual(['unknown', 'ok']);
  });
});

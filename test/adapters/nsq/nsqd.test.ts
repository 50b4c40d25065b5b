import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { cloudEvents } from '../../../src/core/codecs.js';
import { consume, type NsqdOptions, startNsqd, TLS_REQUIRED } from '../../support/nsqd.js';
import { describeWith } from '../../support/services.js';
import { aPublisher, batchOf, endings } from './support.js';

/** A nsqd that the test may stop and stun. */
async function ownNsqd(options?: NsqdOptions) {
  const nsqd = await startNsqd(options);
  onTestFinished(() => nsqd.stop());
  return nsqd;
}

/** Stands before an nsqd and passes on what comes from there. What goes there it is told to pass on. */
async function before(nsqd: string, pass: (chunk: Buffer, upstream: Socket) => void): Promise<string> {
  const [host, port] = nsqd.split(':');
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host, port: Number(port), allowHalfOpen: true });
    client.on('data', (chunk) => pass(chunk, upstream));
    upstream.pipe(client);
    client.on('error', () => {}).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Ends the way there within the first request, while the way back stays open. */
function cutShort(nsqd: string): Promise<string> {
  let isCut = false;
  return before(nsqd, (chunk, upstream) => {
    if (isCut || !chunk.includes('PUB ')) return upstream.write(chunk);
    isCut = true;
    upstream.end(chunk.subarray(0, chunk.length - 100));
  });
}

const aTopic = () => `test-${randomUUID()}`;
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describeWith('nsqd', (shared) => {
  it('delivers what was published, in order, byte for byte', async () => {
    const publisher = aPublisher(shared.tcp);
    const topic = aTopic();
    const data = ['olá 🐘', 'ñandú', '日本語', { nested: ['\u2028', '"quoted"', '\\'] }, 'plain'];
    await publisher.publish(batchOf(topic, data));
    await publisher.publish(batchOf(topic, ['🐘'], 6));
    const bodies = await consume(shared.tcp, topic, { count: 6 });
    expect(bodies.map((body) => JSON.parse(body))).toEqual([...data, '🐘']);
  });

  it('delivers CloudEvents with their place in the session', async () => {
    const publisher = aPublisher(shared.tcp, { codec: cloudEvents() });
    const topic = aTopic();
    await publisher.publish(batchOf(topic, ['a', 'b']));
    const bodies = await consume(shared.tcp, topic, { count: 2 });
    expect(bodies.map((body) => JSON.parse(body))).toMatchObject([
      { id: 'e-1', sequence: '0000000001', sessionid: 's-1', data: 'a' },
      { id: 'e-2', sequence: '0000000002', sessionid: 's-1', data: 'b' },
    ]);
  });

  it('takes overlapping calls of many topics over one connection', async () => {
    const publisher = aPublisher(shared.tcp);
    const topics = [aTopic(), aTopic(), aTopic()];
    const calls = numbers(0, 29).map((n) =>
      publisher.publish(batchOf(topics[n % 3] ?? '', numbers(n * 10, n * 10 + 9), n * 10 + 1)),
    );
    await Promise.all(calls);
    for (const [index, topic] of topics.entries()) {
      const expected = numbers(0, 29)
        .filter((n) => n % 3 === index)
        .flatMap((n) => numbers(n * 10, n * 10 + 9));
      expect((await consume(shared.tcp, topic, { count: 100 })).map(Number)).toEqual(expected);
    }
  });

  it('cuts a batch of large messages so that nsqd takes every part', async () => {
    const publisher = aPublisher(shared.tcp, { deadlineMs: 25_000 });
    const topic = aTopic();
    const data = numbers(1, 23).map((n) => `${n}:${'x'.repeat(900_000)}`);
    await publisher.publish(batchOf(topic, data));
    const bodies = await consume(shared.tcp, topic, { count: 23 });
    expect(bodies.map((body) => body.length)).toEqual(data.map((text) => text.length + 2));
    expect(bodies.map((body) => Number.parseInt(body.slice(1), 10))).toEqual(numbers(1, 23));
  });

  it('fills a message and a request to the last byte that nsqd takes', async () => {
    const publisher = aPublisher(shared.tcp, { deadlineMs: 25_000 });
    const topic = aTopic();
    const largest = 'y'.repeat(1_048_576 - 2);
    // Five MPUB messages that, with their lengths and the count, make 5,242,880 bytes.
    const fifth = 'z'.repeat(5_242_880 - 4 - 5 * 4 - 4 * 1_048_576 - 2);
    await publisher.publish(batchOf(topic, [largest, largest, largest, largest, fifth, largest]));
    const bodies = await consume(shared.tcp, topic, { count: 6 });
    expect(bodies.map((body) => body.length)).toEqual([
      1_048_576,
      1_048_576,
      1_048_576,
      1_048_576,
      fifth.length + 2,
      1_048_576,
    ]);
    expect(await endings(publisher.publish(batchOf(topic, [`${largest}y`], 7)))).toEqual(['refused']);
  });

  it('passes on a refusal by a nsqd that allows less than the options say', async () => {
    const nsqd = await ownNsqd({ args: ['--max-msg-size=1000'] });
    const publisher = aPublisher(nsqd.tcp);
    const topic = aTopic();
    // Small enough for the kernel to take it whole before nsqd hangs up: then the answer gets through.
    expect(await endings(publisher.publish(batchOf(topic, ['x'.repeat(1_200)])))).toEqual(['refused']);
    await publisher.publish(batchOf(topic, ['fits']));
    expect(await consume(nsqd.tcp, topic, { count: 1 })).toEqual(['"fits"']);
  });

  it.each([1, 3])('says not_done of a request of %i whose end nsqd could not read', async (count) => {
    const proxy = await cutShort(shared.tcp);
    const topic = aTopic();
    const data = numbers(1, count).map((n) => `${n}:${'x'.repeat(1_000)}`);
    const publisher = aPublisher(proxy);
    const error = await publisher.publish(batchOf(topic, data)).catch((reason) => reason);
    expect(error).toMatchObject({ outcome: 'not_done', message: expect.stringContaining('failed to read') });
    await publisher.publish(batchOf(topic, data));
    const bodies = await consume(shared.tcp, topic, { count });
    expect(bodies.map((body) => JSON.parse(body))).toEqual(data);
  });

  it('takes a nsqd that wants AUTH for one that cannot be used, and goes on to the next', async () => {
    const closed = await ownNsqd({ args: ['--auth-http-address=127.0.0.1:1'] });
    await expect(aPublisher(closed.tcp).ping()).rejects.toMatchObject({
      outcome: 'not_done',
      message: expect.stringContaining('AUTH'),
    });
    const topic = aTopic();
    await aPublisher([closed.tcp, shared.tcp]).publish(batchOf(topic, [1]));
    expect(await consume(shared.tcp, topic, { count: 1 })).toEqual(['1']);
  });

  it('finds out by a ping that a nsqd takes nothing without TLS, and goes on to the next', async () => {
    const closed = await ownNsqd({ args: TLS_REQUIRED });
    await expect(aPublisher(closed.tcp).ping()).rejects.toMatchObject({
      outcome: 'not_done',
      message: expect.stringMatching(`${closed.tcp} .*TLS required.*start nsqd without --tls-required`),
    });
    const both = aPublisher([closed.tcp, shared.tcp]);
    await both.ping();
    const topic = aTopic();
    await both.publish(batchOf(topic, [1]));
    expect(await consume(shared.tcp, topic, { count: 1 })).toEqual(['1']);
    await expect(aPublisher([closed.tcp, closed.tcp]).ping()).rejects.toThrow('TLS');
  });

  it('pings also where the end of a connection does not get through', async () => {
    const proxy = await before(shared.tcp, (chunk, upstream) => upstream.write(chunk));
    await aPublisher(proxy, { connectTimeoutMs: 1_000 }).ping();
  });

  it('says not_done of what a nsqd refuses without TLS, and publishes it to the next', async () => {
    const closed = await ownNsqd({ args: TLS_REQUIRED });
    const topic = aTopic();
    await expect(aPublisher(closed.tcp).publish(batchOf(topic, [1, 2]))).rejects.toMatchObject({
      outcome: 'not_done',
      message: expect.stringContaining('start nsqd without --tls-required'),
    });
    const both = aPublisher([closed.tcp, shared.tcp]);
    expect(await endings(both.publish(batchOf(topic, [1, 2])))).toEqual(['not_done']);
    await both.publish(batchOf(topic, [1, 2]));
    expect(await consume(shared.tcp, topic, { count: 2 })).toEqual(['1', '2']);
  });

  it('goes on after nsqd was restarted between two calls', async () => {
    const nsqd = await ownNsqd();
    const publisher = aPublisher(nsqd.tcp);
    const topic = aTopic();
    await publisher.publish(batchOf(topic, [1, 2]));
    await nsqd.restart();
    const again = () => publisher.publish(batchOf(topic, [3, 4], 3));
    await again().catch(again);
    const bodies = await consume(nsqd.tcp, topic, { count: 4 });
    expect(new Set(bodies)).toEqual(new Set(['1', '2', '3', '4']));
  });

  it('fails while nsqd is down and works when it is back', async () => {
    const nsqd = await ownNsqd();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.ping();
    nsqd.signal('SIGKILL');
    await expect.poll(() => endings(publisher.ping())).toEqual(['not_done']);
    expect(await endings(publisher.publish(batchOf(aTopic(), [1])))).toEqual(['not_done']);
    await nsqd.restart();
    await publisher.ping();
    await publisher.publish(batchOf(aTopic(), [1]));
  });

  it('gives up a stunned nsqd at the deadline, and publishes when it has come to', async () => {
    const nsqd = await ownNsqd();
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 3_000, connectTimeoutMs: 2_000 });
    const topic = aTopic();
    await publisher.publish(batchOf(topic, [1]));
    nsqd.signal('SIGSTOP');
    const stunned = [2, 3].map((n) => publisher.publish(batchOf(topic, [n], n)));
    expect(await endings(...stunned)).toEqual(['unknown', 'unknown']);
    expect(await endings(publisher.publish(batchOf(topic, [2], 2)), publisher.ping())).toEqual([
      'not_done',
      'not_done',
    ]);
    nsqd.signal('SIGCONT');
    const patient = aPublisher(nsqd.tcp);
    await patient.publish(batchOf(topic, [2, 3], 2));
    const bodies = await consume(nsqd.tcp, topic, { count: 4 });
    expect(new Set(bodies)).toEqual(new Set(['1', '2', '3']));
  });

  it('moves to a second nsqd when the first one dies with calls in flight, and loses nothing', async () => {
    const first = await ownNsqd({ args: ['--mem-queue-size=0', '--sync-every=1'] });
    const second = await ownNsqd();
    const publisher = aPublisher([first.tcp, second.tcp]);
    const topic = aTopic();
    const total = 400;
    let acknowledged = 0;
    /** Acknowledged before the first failure: all by the first nsqd. */
    let byFirst: number | undefined;
    while (acknowledged < total) {
      const starts = [0, 10, 20, 30].map((offset) => acknowledged + 1 + offset).filter((n) => n <= total);
      const calls = starts.map((from) => publisher.publish(batchOf(topic, numbers(from, from + 9), from)));
      if (byFirst === undefined && acknowledged > 100) first.signal('SIGKILL');
      const ends = await endings(...calls);
      const failed = ends.findIndex((ending) => ending !== 'ok');
      acknowledged += 10 * (failed < 0 ? starts.length : failed);
      if (failed >= 0) byFirst ??= acknowledged;
    }
    await first.restart();
    const split = byFirst ?? total;
    expect(split).toBeLessThan(total);
    const before = await consume(first.tcp, topic, { count: split });
    const after = await consume(second.tcp, topic, { count: total - split });
    expect(before.map(Number)).toEqual(expect.arrayContaining(numbers(1, split)));
    expect(after.map(Number)).toEqual(numbers(split + 1, total));
  });

  it('does not make nsqd log an error when it asks by a ping, nor when it closes', async () => {
    const nsqd = await ownNsqd();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf(aTopic(), [1]));
    await publisher.ping();
    await publisher.close();
    await expect.poll(() => nsqd.output()).toMatch(/(exiting ioloop.*){2}/s);
    expect(nsqd.output()).not.toMatch(/ERROR/);
  });
});

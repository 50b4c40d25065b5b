import { describe, expect, it } from 'vitest';
import type { DoubleAction, DoubleRequest } from '../../support/nsqd-double.js';
import { openSessions } from '../../support/open-sessions.js';
import { waitFor } from '../../support/wait-for.js';
import { aDouble, aPublisher, batchOf, endings, gate } from './support.js';

/** Acknowledges until the request with this body, and does that to it. */
const at = (body: string, action: DoubleAction) => (request: DoubleRequest) =>
  request.bodies.includes(body) ? action : 'acknowledge';

describe('outcomes', () => {
  it.each([
    ['cut before', [], 'unknown'],
    ['cut after', ['1'], 'unknown'],
    ['cut in reply', ['1'], 'unknown'],
    ['stall', [], 'unknown'],
    [{ error: 'E_BAD_TOPIC PUB topic name is not valid' }, [], 'refused'],
    [{ error: 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name is not valid' }, [], 'refused'],
    [{ error: 'E_BAD_MESSAGE PUB message too big 10 > 5' }, [], 'refused'],
    [{ error: 'E_BAD_BODY MPUB body too big' }, [], 'refused'],
    [{ error: 'E_BAD_MESSAGE PUB failed to read message body size' }, [], 'not_done'],
    [{ error: 'E_BAD_MESSAGE MPUB failed to read message(7) body size' }, [], 'not_done'],
    [{ error: 'E_BAD_BODY MPUB failed to read message count' }, [], 'not_done'],
    [{ error: 'E_PUB_FAILED PUB failed exiting' }, [], 'unknown'],
    [{ error: 'E_MPUB_FAILED MPUB failed no space left on device' }, [], 'unknown'],
    [{ error: 'E_UNAUTHORIZED AUTH failed for PUB' }, [], 'not_done'],
    [{ error: 'E_INVALID invalid command' }, [], 'unknown'],
  ] as [DoubleAction, string[], string][])('%o takes %o and is %s', async (action, taken, outcome) => {
    const nsqd = await aDouble();
    nsqd.onRequest = at('1', action);
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: action === 'stall' ? 1_000 : 5_000 });
    const error = await publisher.publish(batchOf('orders', [1])).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'PUBLISH_FAILED', outcome, topic: 'orders', sessionId: 's-1' });
    expect(error.cause).toBeInstanceOf(Error);
    expect(error.message).toContain(nsqd.tcp);
    expect(nsqd.bodies()).toEqual(taken);
    // And the next call works: a connection that failed is replaced.
    nsqd.onRequest = () => 'acknowledge';
    await publisher.publish(batchOf('orders', [1]));
    expect(nsqd.accepted).toBe(2);
  });

  it('knows that nsqd did not look at what came after a refused request', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = at('2', { error: 'E_MPUB_FAILED MPUB failed' });
    const publisher = aPublisher(nsqd.tcp);
    const calls = ['a', 'b', 'c'].map((topic, index) => publisher.publish(batchOf(topic, [index + 1])));
    expect(await endings(...calls)).toEqual(['ok', 'unknown', 'not_done']);
  });

  it('takes the next batch at once after one that nsqd refused', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = at('1', { error: 'E_BAD_MESSAGE PUB message too big' });
    const publisher = aPublisher(nsqd.tcp);
    expect(await endings(publisher.publish(batchOf('orders', [1])))).toEqual(['refused']);
    await publisher.publish(batchOf('orders', [2], 2));
    expect(nsqd.bodies()).toEqual(['2']);
  });

  it('says unknown of a call that was partly acknowledged before the rest was turned down', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = at('2', { error: 'E_UNAUTHORIZED AUTH failed' });
    const publisher = aPublisher(nsqd.tcp, { maxRequestMessages: 1 });
    expect(await endings(publisher.publish(batchOf('orders', [1, 2, 3])))).toEqual(['unknown']);
  });

  it('fails all that is in flight when one deadline ends, and uses the connection no more', async () => {
    const nsqd = await aDouble();
    nsqd.onRequest = at('2', 'stall');
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 1_000 });
    const calls = ['a', 'b', 'c'].map((topic, index) => publisher.publish(batchOf(topic, [index + 1])));
    expect(await endings(...calls)).toEqual(['ok', 'unknown', 'unknown']);
    await waitFor(() => expect(nsqd.open).toBe(0));
  });

  it('fails as not_done what still waited for a connection at its deadline', async () => {
    const nsqd = await aDouble();
    nsqd.onIdentify = () => 'stall';
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 40 });
    const calls = [1, 2].map((n) => publisher.publish(batchOf('orders', [n], n)));
    expect(await endings(...calls)).toEqual(['not_done', 'not_done']);
    expect(nsqd.requests).toEqual([]);
  });

  it('ends any number of calls that wait in vain in one go, whatever their topics', async () => {
    const nsqd = await aDouble();
    await nsqd.pause();
    const publisher = aPublisher(nsqd.tcp);
    const calls = Array.from({ length: 16_000 }, (_, n) => publisher.publish(batchOf(`topic-${n}`, [n])));
    expect(new Set(await endings(...calls))).toEqual(new Set(['not_done']));
  });

  it('reads what came in while the process stood still before it holds a deadline against nsqd', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { deadlineMs: 1_000, maxInFlightBytes: 1 });
    await publisher.ping();
    const calls = [1, 2].map((n) => publisher.publish(batchOf(`topic-${n}`, [n])));
    const dueAt = performance.now() + 1_000;
    nsqd.onRequest = () => {
      // By then the answer has been written, and nobody has read it.
      setImmediate(() => {
        while (performance.now() < dueAt);
      });
      return 'acknowledge';
    };
    // Nor does it send what has waited for longer than its deadline: its lease may be another's by now.
    expect(await endings(...calls)).toEqual(['ok', 'not_done']);
    nsqd.onRequest = () => 'acknowledge';
    await publisher.publish(batchOf('topic-3', [3]));
    expect(nsqd.requests.map(({ connection, bodies }) => [connection, ...bodies])).toEqual([
      [1, '1'],
      [1, '3'],
    ]);
  });
});

describe('failover', () => {
  it('goes on to the next nsqd within the same call when one cannot be reached', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    await first.pause();
    const publisher = aPublisher([first.tcp, second.tcp]);
    await publisher.publish(batchOf('orders', [1, 2]));
    expect(second.bodies()).toEqual(['1', '2']);
  });

  it('goes on to the next nsqd when one accepts and does not answer', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    first.onIdentify = () => 'stall';
    const publisher = aPublisher([first.tcp, second.tcp], { connectTimeoutMs: 1_000 });
    await publisher.publish(batchOf('orders', [1]));
    expect(second.bodies()).toEqual(['1']);
    await waitFor(() => expect(first.open).toBe(0));
  });

  it('stays with the nsqd that took over, until that one is lost', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    await first.pause();
    const publisher = aPublisher([first.tcp, second.tcp]);
    await publisher.publish(batchOf('orders', [1]));
    await first.resume();
    await publisher.publish(batchOf('orders', [2], 2));
    expect(first.accepted).toBe(0);
    second.onRequest = at('3', 'cut before');
    await expect(publisher.publish(batchOf('orders', [3], 3))).rejects.toMatchObject({ outcome: 'unknown' });
    await publisher.publish(batchOf('orders', [3], 3));
    expect([first.bodies(), second.bodies()]).toEqual([['3'], ['1', '2']]);
  });

  it('does not try another nsqd after an unknown outcome', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    first.onRequest = at('1', 'cut after');
    const publisher = aPublisher([first.tcp, second.tcp]);
    expect(await endings(publisher.publish(batchOf('orders', [1])))).toEqual(['unknown']);
    expect(second.requests).toEqual([]);
  });

  it('names every nsqd that it tried, and why each failed', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    await first.pause();
    second.onIdentify = () => 'stall';
    const publisher = aPublisher([first.tcp, second.tcp], { connectTimeoutMs: 1_000 });
    const error = await publisher.publish(batchOf('orders', [1])).catch((reason) => reason);
    expect(error.outcome).toBe('not_done');
    expect(error.message).toContain(`${first.tcp} (connect ECONNREFUSED`);
    expect(error.message).toContain(`${second.tcp} (no answer within 1000 ms)`);
  });

  it('carries on a commit of which many calls were lost with one connection', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    first.onRequest = () => 'cut before';
    const sessions = openSessions({ publisher: aPublisher([first.tcp, second.tcp]), logger: false });
    const session = await sessions.startSession();
    const topics = Array.from({ length: 20 }, (_, n) => `topic-${n}`);
    await session.addMany(topics.map((type) => ({ type, data: type })));
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 20, deferred: 0 });
    expect(second.bodies().map((body) => JSON.parse(body))).toEqual(topics);
  });

  it('notices an orderly end of the connection while idle, and connects anew', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp);
    await publisher.publish(batchOf('orders', [1]));
    nsqd.disconnect();
    await waitFor(() => expect(nsqd.open).toBe(0));
    await publisher
      .publish(batchOf('orders', [2], 2))
      .catch(() => publisher.publish(batchOf('orders', [2], 2)));
    expect(nsqd.bodies()).toEqual(['1', '2']);
  });
});

describe('order (G4): no call succeeds after one of its topic before it failed', () => {
  it('fails the call that waited for room when the one in flight is lost, though another nsqd is there', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    const decision = gate<DoubleAction>();
    first.onRequest = () => decision.opened;
    const publisher = aPublisher([first.tcp, second.tcp], { maxInFlightBytes: 1 });
    const calls = [1, 2, 3].map((n) => publisher.publish(batchOf('orders', [n], n)));
    const elsewhere = publisher.publish(batchOf('invoices', [9]));
    await waitFor(() => expect(first.requests).toHaveLength(1));
    decision.open('cut before');
    expect(await endings(...calls)).toEqual(['unknown', 'not_done', 'not_done']);
    expect(await endings(elsewhere)).toEqual(['ok']);
    expect(second.bodies('orders')).toEqual([]);
    // The caller sends all of them again, in order.
    const again = [1, 2, 3].map((n) => publisher.publish(batchOf('orders', [n], n)));
    expect(await endings(...again)).toEqual(['ok', 'ok', 'ok']);
    expect(second.bodies('orders')).toEqual(['1', '2', '3']);
  });

  it('lets a call of another topic, of which nothing was in flight, go on with the next nsqd', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    const publisher = aPublisher([first.tcp, second.tcp], { maxInFlightBytes: 1, maxRequestMessages: 1 });
    const decision = gate<DoubleAction>();
    first.onRequest = () => decision.opened;
    const before = publisher.publish(batchOf('first-topic', ['a']));
    const call = publisher.publish(batchOf('orders', [1, 2]));
    await waitFor(() => expect(first.requests).toHaveLength(1));
    decision.open('cut before');
    expect(await endings(before, call)).toEqual(['unknown', 'ok']);
    expect(second.bodies()).toEqual(['1', '2']);
  });

  it('fails with the call that was refused those that were made together with it', async () => {
    const nsqd = await aDouble();
    const publisher = aPublisher(nsqd.tcp, { maxMessageBytes: 10 });
    const calls = [
      publisher.publish(batchOf('orders', ['ok'], 1)),
      publisher.publish(batchOf('orders', ['much too large'], 2)),
      publisher.publish(batchOf('orders', ['ok'], 3)),
      publisher.publish(batchOf('invoices', ['ok'], 4)),
    ];
    expect(await endings(...calls)).toEqual(['ok', 'refused', 'not_done', 'ok']);
    expect(nsqd.taken).toHaveLength(2);
  });

  it('turns away a call made between a failure and the moment in which its caller can know of it', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    // One piece of data carries both answers: the first call ends well, the second fails.
    first.onRequest = (request) => {
      first.holdAnswers();
      return request.bodies[0] === '1' ? 'acknowledge' : { error: 'E_PUB_FAILED PUB failed' };
    };
    const publisher = aPublisher([first.tcp, second.tcp]);
    const one = publisher.publish(batchOf('orders', [1], 1));
    const two = publisher.publish(batchOf('orders', [2], 2));
    let callerKnows = false;
    two.catch(() => {
      callerKnows = true;
    });
    const three = one.then(() => {
      expect(callerKnows).toBe(false);
      return publisher.publish(batchOf('orders', [3], 3));
    });
    expect(await endings(one, two, three)).toEqual(['ok', 'unknown', 'not_done']);
    expect(second.requests).toEqual([]);
    // Sent again from the one that failed, at once, it goes through.
    await Promise.all([
      publisher.publish(batchOf('orders', [2], 2)),
      publisher.publish(batchOf('orders', [3], 3)),
    ]);
    expect(second.bodies()).toEqual(['2', '3']);
  });

  it('never lets a later call overtake, whatever is cut where', async () => {
    const [first, second] = [await aDouble(), await aDouble()];
    const faults: DoubleAction[] = [
      'cut before',
      'cut after',
      'cut in reply',
      { error: 'E_PUB_FAILED PUB failed' },
    ];
    let seed = 20;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    const arrivals: number[] = [];
    const action = () => (random(9) === 0 ? (faults[random(faults.length)] ?? 'acknowledge') : 'acknowledge');
    first.onRequest = second.onRequest = (request) => {
      const what = action();
      if (typeof what === 'string' && what !== 'cut before') arrivals.push(...request.bodies.map(Number));
      return what;
    };
    const publisher = aPublisher([first.tcp, second.tcp], { maxInFlightBytes: 60, maxRequestMessages: 2 });
    const total = 300;
    let done = 0;
    let rounds = 0;
    while (done < total && rounds++ < 1_000) {
      // A window of overlapping calls of three events each, sent again from the first that failed.
      const starts = [0, 3, 6, 9].map((offset) => done + offset).filter((start) => start < total);
      const ends = await endings(
        ...starts.map((start) =>
          publisher.publish(
            batchOf(
              'orders',
              [start, start + 1, start + 2].filter((n) => n < total),
              start + 1,
            ),
          ),
        ),
      );
      const failed = ends.findIndex((ending) => ending !== 'ok');
      if (failed >= 0) expect(ends.slice(failed)).not.toContain('ok');
      done += 3 * (failed >= 0 ? failed : ends.length);
    }
    // Over both brokers, in the order of arrival: with the repetitions taken out, nothing is missing or misplaced.
    expect([...new Set(arrivals)]).toEqual(Array.from({ length: total }, (_, n) => n));
  });
});

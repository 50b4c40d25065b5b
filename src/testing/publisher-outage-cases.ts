import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ignoringUntilAwaited, isEventSessionsError, messageOf } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import { within } from '../core/within.js';
import { eventually } from './conformance-case.js';
import { dataIn, newEvents, newTopic } from './publisher-events.js';
import type { BreakablePublisherUnderTest, PublisherUnderTest } from './publisher-under-test.js';

/** A call that takes longer has no deadline, as far as a case can tell. */
const LONGEST_MS = 10_000;
const CALLS = 30;

type Ending = 'ok' | 'not_done' | 'unknown';

interface Call {
  readonly events: readonly StoredEvent[];
  readonly data: readonly number[];
  /** Of each time it was made, the last one at the end. */
  readonly endings: Ending[];
}

const settles = <T>(what: string, work: Promise<T>): Promise<T> =>
  within(LONGEST_MS, work, `${what} has not settled within ${LONGEST_MS} ms`);

const succeeded = ({ endings }: Call): boolean => endings.at(-1) === 'ok';

function endingOf(error: unknown): Ending {
  if (!isEventSessionsError(error, 'PUBLISH_FAILED')) {
    assert.fail(`publish rejected with no PUBLISH_FAILED, but with: ${messageOf(error)}`);
  }
  const { outcome } = error;
  if (outcome !== 'not_done' && outcome !== 'unknown') assert.fail(`an outage has the outcome ${outcome}`);
  return outcome;
}

/** One that publishes to a topic of its own as the port wants it: what failed is sent again, all of it and in order. */
function caller({ publisher, consume }: PublisherUnderTest) {
  const topic = newTopic();
  const calls: Call[] = [];
  let knowsOfFailure = false;

  async function make(call: Call): Promise<Ending> {
    const batch = { sessionId: 'conformance', topic, events: call.events };
    const made = settles('publish', publisher.publish(batch));
    const ending = await made.then(
      () => 'ok' as const,
      (error) => {
        knowsOfFailure = true;
        return endingOf(error);
      },
    );
    call.endings.push(ending);
    return ending;
  }

  return {
    get knowsOfFailure() {
      return knowsOfFailure;
    },

    /** The next two events, in a call of their own. */
    publish(): Promise<Ending> {
      const first = calls.length * 2 + 1;
      const data = [first, first + 1];
      const call = { events: newEvents(topic, data, first), data, endings: [] };
      calls.push(call);
      return ignoringUntilAwaited(make(call));
    },

    /** Sends again, all at once, what has failed, until nothing does. */
    async repeat(): Promise<void> {
      const deadline = Date.now() + LONGEST_MS;
      for (;;) {
        const failed = calls.filter((call) => !succeeded(call));
        if (failed.length === 0) return;
        assertNoneBehindAFailure(await Promise.all(failed.map(make)));
        assert.ok(Date.now() < deadline, 'publish works again when the broker is back');
        await sleep(10);
      }
    },

    assertOrder(): void {
      assertNoneBehindAFailure(calls.map(({ endings }) => endings.at(-1)));
    },

    /** All that has succeeded is there, in order, and no more copies than the endings allow. */
    async assertArrived(): Promise<void> {
      const expected = calls.filter(succeeded).flatMap(({ data }) => data);
      let arrived: unknown[] = [];
      for (let missing = expected.length; missing > 0; ) {
        const count = arrived.length + missing;
        arrived = (await consume(topic, count)).map(dataIn);
        assert.ok(arrived.length >= count, `${missing} of ${expected.length} events have not arrived`);
        const found = new Set(arrived);
        missing = expected.filter((datum) => !found.has(datum)).length;
      }
      assert.deepEqual([...new Set(arrived)], expected, 'the first copies are in order');
      for (const { data, endings } of calls) {
        const most = endings.filter((ending) => ending !== 'not_done').length;
        for (const datum of data) {
          const copies = arrived.filter((other) => other === datum).length;
          assert.ok(copies <= most, `${copies} copies of an event whose calls ended: ${endings.join(', ')}`);
        }
      }
    },
  };
}

function assertNoneBehindAFailure(endings: readonly (Ending | undefined)[]): void {
  const failed = endings.findIndex((ending) => ending !== 'ok');
  if (failed === -1) return;
  assert.ok(!endings.slice(failed).includes('ok'), `calls of one topic ended: ${endings.join(', ')}`);
}

function assertFails(what: string, ending: Promise<Ending>): Promise<void> {
  const failed = ending.then((is) => assert.notEqual(is, 'ok', `${what} cannot succeed in an outage`));
  return ignoringUntilAwaited(failed);
}

export const publisherOutageCases: Record<string, (under: BreakablePublisherUnderTest) => Promise<void>> = {
  async 'outage: a publish fails with PUBLISH_FAILED and its outcome, and works when the broker is back'(
    under,
  ) {
    const one = caller(under);
    assert.equal(await one.publish(), 'ok');
    const back = await under.makeUnreachable();
    await assertFails('a publish', one.publish());
    await assertFails('a publish of another topic', caller(under).publish());
    await back();
    await one.repeat();
    assert.equal(await one.publish(), 'ok');
    await one.assertArrived();
  },

  async 'outage: a publisher that has never reached its broker gets through when it is back'(under) {
    const one = caller(under);
    const back = await under.makeUnreachable();
    await assertFails('a publish', one.publish());
    await back();
    await one.repeat();
    await one.assertArrived();
  },

  async 'outage: each of many calls settles with a result of its own'(under) {
    const before = [caller(under), caller(under)];
    for (const one of before) assert.equal(await one.publish(), 'ok');
    const back = await under.makeUnreachable();
    const callers = [...before, ...Array.from({ length: 20 }, () => caller(under))];
    const calls = callers.flatMap((one) => Array.from({ length: 5 }, () => one.publish()));
    await Promise.all(calls.map((ending) => assertFails('a publish', ending)));
    await back();
    for (const one of callers) await one.repeat();
    for (const one of callers) await one.assertArrived();
  },

  async 'outage: no call succeeds behind one of its topic that failed, and all that succeeded arrives'(
    under,
  ) {
    const callers = [caller(under), caller(under), caller(under)];
    const calls: Promise<Ending>[] = [];
    const oneMoreOfEach = () => {
      for (const one of callers) if (!one.knowsOfFailure) calls.push(one.publish());
    };
    for (let i = 0; i < CALLS; i += 1) oneMoreOfEach();
    let back: (() => Promise<void>) | undefined;
    const outage = under.makeUnreachable().then((way) => {
      back = way;
    });
    for (let i = 0; i < CALLS && back === undefined; i += 1) {
      await sleep(1);
      oneMoreOfEach();
    }
    await outage;
    oneMoreOfEach();
    const deadline = Date.now() + LONGEST_MS;
    while (!callers.some((one) => one.knowsOfFailure)) {
      assert.ok(Date.now() < deadline, 'a call fails while the broker is unreachable');
      await sleep(1);
    }
    await back?.();
    await Promise.all(calls);
    for (const one of callers) one.assertOrder();
    for (const one of callers) await one.repeat();
    for (const one of callers) await one.assertArrived();
  },

  async 'outage: ping rejects, and resolves when the broker is back'({ publisher, makeUnreachable }) {
    await publisher.ping();
    const back = await makeUnreachable();
    const ping = publisher.ping().then(
      () => true,
      () => false,
    );
    assert.equal(await settles('ping', ping), false, 'ping cannot resolve while the broker is unreachable');
    await back();
    await eventually(() => settles('ping', publisher.ping()));
  },

  async 'outage: close resolves, and so settles the calls in flight'(under) {
    const one = caller(under);
    assert.equal(await one.publish(), 'ok');
    const back = await under.makeUnreachable();
    const calls = [one.publish(), one.publish()].map((ending) => assertFails('a publish', ending));
    await settles('close', under.publisher.close());
    await Promise.all(calls);
    await back();
  },
};

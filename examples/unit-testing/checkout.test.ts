import {
  createEventSessions,
  type DomainEvent,
  type MemoryPublisherOptions,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { afterEach, expect, test } from 'vitest';
import { checkoutEvents, createCheckout, type Order } from './checkout.js';

const order: Order = {
  orderId: 'o-1',
  user: 'u-1',
  lines: [
    { sku: 'tea', quantity: 2, price: 5 },
    { sku: 'cup', quantity: 1, price: 8 },
  ],
};
const ONE_HOUR = 3_600_000;
const TWO_MINUTES = 120_000;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** The service under test, on adapters in memory, with a clock that only moves when it is told to. */
function setUp(publishing: MemoryPublisherOptions = {}) {
  const clock = { now: Date.parse('2025-01-31T12:00:00Z') };
  const publisher = memoryPublisher(publishing);
  const sessions = createEventSessions({
    store: memoryStore({ now: () => clock.now }),
    publisher,
    events: checkoutEvents,
    ttl: ONE_HOUR,
    commit: { retries: 0 },
    recovery: false,
    logger: false,
  });
  closing.push(sessions.close);
  return { checkout: createCheckout(sessions), sessions, publisher, clock };
}

test('placing an order publishes what was collected, in order', async () => {
  const { checkout, publisher } = setUp();

  const id = await checkout.begin(order);
  expect(publisher.published).toEqual([]);

  const receipt = await checkout.place(id);
  expect(receipt).toMatchObject({ sessionId: id, status: 'committed', events: 3, published: 3 });
  expect(publisher.published.map(({ topic, event }) => [topic, event.data])).toEqual([
    ['stock.reserved', { orderId: 'o-1', sku: 'tea', quantity: 2 }],
    ['stock.reserved', { orderId: 'o-1', sku: 'cup', quantity: 1 }],
    ['order.placed', { orderId: 'o-1', total: 18 }],
  ]);
});

test('a failed payment publishes nothing and is told to the caller', async () => {
  const { checkout, publisher, sessions } = setUp();
  const rolledBack: DomainEvent<'session.rolled_back'>[] = [];
  sessions.on('session.rolled_back', (event) => rolledBack.push(event));

  const declined = new Error('card declined');
  await expect(checkout.buy(order, () => Promise.reject(declined))).rejects.toBe(declined);

  expect(publisher.published).toEqual([]);
  expect(rolledBack).toMatchObject([{ discarded: 3, reason: 'transaction failed: card declined' }]);
});

test('an order that the catalogue refuses changes nothing', async () => {
  const { checkout, sessions } = setUp();
  await expect(checkout.begin({ ...order, lines: [] })).rejects.toMatchObject({
    code: 'INVALID_EVENT',
    issues: [{ path: 'total' }],
  });
  const { sessions: open } = await sessions.queries.listSessions();
  expect(open).toMatchObject([{ status: 'open', events: 0 }]);
});

test('a broker that is down does not fail the order: its events are owed, then published', async () => {
  let down = true;
  const { checkout, publisher, sessions } = setUp({
    onPublish: () => {
      if (down) throw new Error('no broker');
    },
  });

  const receipt = await checkout.buy(order, async () => {});
  expect(receipt).toMatchObject({ status: 'committed', published: 0, deferred: 3 });

  down = false;
  expect(await sessions.recover()).toMatchObject({ published: 3, remaining: 0 });
  expect(publisher.published.map(({ event }) => event.sequence)).toEqual([
    '0000000001',
    '0000000002',
    '0000000003',
  ]);
});

test('an order that is not placed within the hour expires', async () => {
  const { checkout, publisher, sessions, clock } = setUp();
  const expired: DomainEvent<'session.expired'>[] = [];
  sessions.on('session.expired', (event) => expired.push(event));

  const id = await checkout.begin(order);
  clock.now += ONE_HOUR;
  await expect(checkout.place(id)).rejects.toMatchObject({ code: 'SESSION_NOT_OPEN', status: 'expired' });

  // Other instances get two minutes to bring back what they have recorded of it.
  await sessions.recover();
  clock.now += TWO_MINUTES;
  await sessions.recover();
  expect(expired).toMatchObject([{ sessionId: id, discarded: 3 }]);
  expect(publisher.published).toEqual([]);
});

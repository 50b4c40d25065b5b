import type { AddOptions, Session } from 'event-sessions';
import { expect, test } from 'vitest';
import { instance } from './instance.js';

class Order implements AddOptions {
  readonly #id: string;
  constructor(id: string) {
    this.#id = id;
  }
  get id() {
    return this.#id;
  }
  get topic() {
    return 'orders';
  }
  get subject() {
    return `order/${this.#id}`;
  }
}

class OrderPlaced extends Order {
  get type() {
    return 'order.placed';
  }
  get data() {
    return { id: this.id };
  }
}

class OrderPaid extends Order {
  readonly type = 'order.paid';
  readonly data = null;
}

test('events and options of add may have what they have by getters of their class', async () => {
  const { sessions, publisher } = instance();
  const session = await sessions.startSession();
  await session.add('order.opened', null, new Order('o-1'));
  await session.addMany([new OrderPlaced('o-2'), new OrderPaid('o-3')]);
  await session.commit();
  expect(publisher.published).toMatchObject([
    { topic: 'orders', event: { type: 'order.opened', id: 'o-1', subject: 'order/o-1', data: null } },
    {
      topic: 'orders',
      event: { type: 'order.placed', id: 'o-2', subject: 'order/o-2', data: { id: 'o-2' } },
    },
    { topic: 'orders', event: { type: 'order.paid', id: 'o-3', subject: 'order/o-3', data: null } },
  ]);
});

const options = {
  commit: new (class {
    get expectedEvents() {
      return 7;
    }
  })(),
  rollback: new (class {
    get reason() {
      return 'no stock';
    }
  })(),
  extend: new (class {
    get ttl() {
      return 0;
    }
  })(),
  events: new (class {
    get after() {
      return 1;
    }
  })(),
};

test('so may the options of the other methods of a session', async () => {
  const { sessions } = instance();
  const session: Session = await sessions.startSession();
  await session.addMany([
    { type: 'a', data: 1 },
    { type: 'a', data: 2 },
  ]);
  expect((await session.events(options.events)).events).toMatchObject([{ data: 2 }]);
  await expect(session.extend(options.extend)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect(session.commit(options.commit)).rejects.toMatchObject({ code: 'EXPECTED_EVENTS_MISMATCH' });
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  // It has a `signal`, by a getter that works on nothing but itself.
  await expect(session.commit(controller)).rejects.toThrow('enough');
  await session.rollback(options.rollback);
  expect((await session.status()).history.at(-1)).toMatchObject({ reason: 'no stock' });
});

import type { CommitReceipt, EventSessions } from 'event-sessions';
import * as z from 'zod';

export const checkoutEvents = {
  'order.placed': z.object({ orderId: z.string(), total: z.number().positive() }),
  'stock.reserved': z.object({ orderId: z.string(), sku: z.string(), quantity: z.int().positive() }),
};

export interface Order {
  readonly orderId: string;
  readonly user: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly price: number }[];
}

export interface Checkout {
  /** Begins an order, to be placed by a later call. Answers its session id. */
  begin(order: Order): Promise<string>;
  place(sessionId: string): Promise<CommitReceipt>;
  /** Both at once. Nothing is published when the payment fails. */
  buy(order: Order, pay: (total: number) => Promise<void>): Promise<CommitReceipt>;
}

/** A service of yours. It takes `EventSessions` as a parameter, so a test can give it one in memory. */
export function createCheckout(sessions: EventSessions<typeof checkoutEvents>): Checkout {
  const eventsOf = ({ orderId, lines }: Order) => [
    ...lines.map(({ sku, quantity }) => ({
      type: 'stock.reserved' as const,
      data: { orderId, sku, quantity },
    })),
    { type: 'order.placed' as const, data: { orderId, total: totalOf(lines) } },
  ];

  return {
    async begin(order) {
      const session = await sessions.startSession({ metadata: { user: order.user } });
      await session.addMany(eventsOf(order));
      return session.id;
    },

    place: (sessionId) => sessions.session(sessionId).commit(),

    async buy(order, pay) {
      const { receipt } = await sessions.transaction(
        async (session) => {
          await session.addMany(eventsOf(order));
          await pay(totalOf(order.lines));
        },
        { metadata: { user: order.user } },
      );
      return receipt;
    },
  };
}

function totalOf(lines: Order['lines']): number {
  return lines.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
}

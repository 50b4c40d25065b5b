import type { EventSessions } from 'event-sessions';
import * as z from 'zod';

export interface Topics {
  readonly orders: string;
  readonly mails: string;
}

/** The catalogue: which events there are, what their data looks like, where they go. */
export function orderEvents(topics: Topics) {
  return {
    'order.placed': {
      schema: z.object({ orderId: z.string(), total: z.number().positive() }),
      topic: topics.orders,
    },
    'order.paid': {
      schema: z.object({ orderId: z.string(), method: z.enum(['card', 'invoice']) }),
      topic: topics.orders,
    },
    'mail.requested': {
      schema: z.object({ to: z.string(), template: z.string() }),
      topic: topics.mails,
    },
  };
}

export type OrderSessions = EventSessions<ReturnType<typeof orderEvents>>;

import type { EventSessions } from 'event-sessions';
import * as z from 'zod';

const text = z.string().min(1).max(200);

/** The catalogue doubles as the validation of request bodies: each one becomes the data of an event. */
export const shopEvents = {
  'item.added': z.strictObject({ sku: text, quantity: z.int().min(1).max(100) }),
  'address.given': z.strictObject({ street: text, city: text, country: z.string().length(2) }),
  'payment.chosen': z.strictObject({ method: z.enum(['card', 'invoice']) }),
};

export type ShopSessions = EventSessions<typeof shopEvents>;

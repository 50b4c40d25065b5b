import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import type { OrderCancelled, OrderPlaced } from './order-events.js';
import { Shipments } from './shipments.js';

/** Another service, which reads what was committed. A pattern is `topic/channel`. */
@Controller()
export class ShippingController {
  constructor(@Inject(Shipments) private readonly shipments: Shipments) {}

  @EventPattern('order.placed/shipping')
  placed(order: OrderPlaced): void {
    this.shipments.prepare(order);
  }

  @EventPattern('order.cancelled/shipping')
  cancelled(order: OrderCancelled): void {
    this.shipments.stop(order);
  }
}

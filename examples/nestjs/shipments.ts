import { Injectable, Logger } from '@nestjs/common';
import type { OrderCancelled, OrderPlaced } from './order-events.js';

/**
 * Delivery is at least once, and NSQ keeps no order: an order may come twice, and its cancellation first. So whatever
 * is done here must be idempotent by `orderId`.
 */
@Injectable()
export class Shipments {
  private readonly logger = new Logger(Shipments.name);

  prepare({ orderId, total }: OrderPlaced): void {
    this.logger.log(`Preparing ${orderId}, ${total} cents`);
  }

  stop({ orderId, reason = 'no reason given' }: OrderCancelled): void {
    this.logger.log(`Stopping ${orderId}: ${reason}`);
  }
}

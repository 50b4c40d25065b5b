import { IsInt, IsOptional, IsString, Length, Max, Min } from 'class-validator';
import { dtoSchema } from './validation.js';

export class OrderPlaced {
  @IsString()
  @Length(1, 100)
  readonly orderId!: string;

  /** In cents. */
  @IsInt()
  @Min(1)
  @Max(100_000_000)
  readonly total!: number;
}

export class OrderCancelled {
  @IsString()
  @Length(1, 100)
  readonly orderId!: string;

  @IsOptional()
  @IsString()
  @Length(1, 500)
  readonly reason?: string;
}

/** What the service publishes. The event types are the NSQ topics, too; the consumer reads the same classes. */
export const orderEvents = {
  'order.placed': dtoSchema(OrderPlaced),
  'order.cancelled': dtoSchema(OrderCancelled),
};

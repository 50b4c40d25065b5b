import type { StoredEvent } from '../core/event.js';

/**
 * The way to the broker.
 *
 * The rules for an implementation:
 *
 * - **Acknowledged means acknowledged.** `publish` resolves when the broker has confirmed every event of the batch.
 * - **Order.** Calls may overlap. Those for one topic are handed to the broker in the order of the calls. When one
 *   fails, every later call for the same topic that was made before the caller could know of it must fail, too; the
 *   caller sends all of them again, in order. The exception is a single event that was `refused`: later calls may
 *   succeed.
 * - **Faults.** Reject with an `EventSessionsError` of code `PUBLISH_FAILED` whose `outcome` is `not_done`, `unknown`
 *   (cut off or timed out after the broker may have taken it), or `refused` (the broker will never take it, or at least
 *   one event of it). The `outcome` counts whatever the code is; an error without one counts as `unknown`.
 * - **Bounded.** Every call settles within a deadline of the publisher's own; what waits for the broker is limited.
 * - **No retries after `unknown`.** The caller retries; the publisher may try another broker only after `not_done`.
 */
export interface EventPublisher {
  /** What the broker can carry. `add` checks it, so that an event that could never be published is refused there. */
  readonly limits: PublisherLimits;

  /** Publishes a batch of one topic, in order. It may be cut into several messages or requests. */
  publish(batch: PublishBatch): Promise<void>;

  /** Resolves if the broker would take a message now. */
  ping(): Promise<void>;

  /** Waits for calls in flight, within the publisher's deadline, then closes its connections. Can be repeated. */
  close(): Promise<void>;
}

export interface PublisherLimits {
  /** The largest event that fits into a message, in bytes of its CloudEvents JSON with `sequence`. */
  readonly maxEventBytes: number;
}

export interface PublishBatch {
  readonly sessionId: string;
  readonly topic: string;
  /** At least one, in rising sequence. */
  readonly events: readonly StoredEvent[];
}

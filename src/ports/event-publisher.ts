import type { StoredEvent } from '../core/event.js';

/**
 * The way to the broker.
 *
 * The rules for an implementation:
 *
 * - **Acknowledged means acknowledged.** `publish` resolves when the broker has confirmed every event of the batch.
 * - **Order.** Calls may overlap. Those for one topic are handed to the broker in the order of the calls. When one
 *   fails, no later call for the same topic that was made before its caller could know may succeed: it fails as well,
 *   and the caller sends all of them again, in order. Only behind a single event that was `refused` may it succeed.
 * - **Faults.** Reject with an `EventSessionsError` of code `PUBLISH_FAILED` whose `outcome` says `not_done`,
 *   `unknown` (cut off or timed out after it may have been taken), or `refused` (the broker will never take it, or at
 *   least one event of it). The `outcome` counts whatever the code; an error without one is taken as `unknown`.
 * - **Bounded.** Every call settles within a deadline of the publisher's own; what waits for the broker has a limit.
 * - **No retries of unknown.** The caller repeats; a publisher may only try another broker after `not_done`.
 */
export interface EventPublisher {
  /** What the broker can carry. Checked at `add`, so that an event that could never be published is refused there. */
  readonly limits: PublisherLimits;

  /** Hands over a batch of one topic, in order. It may be cut into several messages or requests on the way. */
  publish(batch: PublishBatch): Promise<void>;

  /** Resolves if the broker would take a message now. */
  ping(): Promise<void>;

  /** Waits for what is in flight, within the publisher's deadline, then lets go of connections. */
  close(): Promise<void>;
}

export interface PublisherLimits {
  /** The largest event that fits in a message, in bytes of its CloudEvents JSON with `sequence`. */
  readonly maxEventBytes: number;
}

export interface PublishBatch {
  readonly sessionId: string;
  readonly topic: string;
  /** At least one, in rising sequence. */
  readonly events: readonly StoredEvent[];
}

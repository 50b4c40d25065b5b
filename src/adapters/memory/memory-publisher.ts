import * as z from 'zod/mini';
import { EventSessionsError, isEventSessionsError } from '../../core/errors.js';
import { type CloudEvent, decodeEvent } from '../../core/event.js';
import { turns } from '../../core/turns.js';
import { functionOf, validate, wholeNumber } from '../../core/validate.js';
import { within } from '../../core/within.js';
import type { EventPublisher, PublishBatch } from '../../ports/event-publisher.js';
import { placeOf, recentFailures } from '../recent-failures.js';

export interface MemoryPublisherOptions {
  /** Called before a batch counts as published. If it throws or rejects, the batch fails with that error. */
  readonly onPublish?: ((batch: PublishBatch) => void | Promise<void>) | undefined;
  /** Bytes of an event's CloudEvents JSON. Default 1 MiB, as for NSQ. */
  readonly maxEventBytes?: number | undefined;
  /**
   * How many of the latest events are kept in `published`. Default 100,000, as many as a session may have. Older ones
   * go by whole batches, so there may be a few more.
   */
  readonly maxEvents?: number | undefined;
}

export interface PublishedEvent {
  readonly topic: string;
  readonly event: CloudEvent;
}

export interface MemoryPublisher extends EventPublisher {
  /** The latest `maxEvents` events that were published, in order. Decoded at each access. */
  readonly published: readonly PublishedEvent[];
  /** Empties `published`. */
  clear(): void;
}

/** How long `close` waits for what `onPublish` has not finished. */
const CLOSE_MS = 5_000;

const optionsSchema = z.strictObject({
  onPublish: z.optional(functionOf<(batch: PublishBatch) => void | Promise<void>>('a function')),
  maxEventBytes: z.optional(wholeNumber(1)),
  maxEvents: z.optional(wholeNumber(1)),
});

/**
 * Publishes into memory: the embedded default, and for unit tests. `close` waits for what is in flight, 5 seconds at most.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function memoryPublisher(options: MemoryPublisherOptions = {}): MemoryPublisher {
  const {
    onPublish,
    maxEventBytes = 1_048_576,
    maxEvents = 100_000,
  } = validate(optionsSchema, options, 'memoryPublisher');
  /** The oldest first. */
  const batches = new Set<PublishBatch>();
  let kept = 0;
  const inTurn = turns();
  let failures = 0;
  const recent = recentFailures();

  async function publishInTurn(batch: PublishBatch, failuresBefore: number): Promise<void> {
    const { topic } = batch;
    try {
      // A failure like any other: what comes behind this batch must not overtake it, either.
      if (failures !== failuresBefore) {
        const message = 'A batch before this one failed, so this one was not published';
        throw new EventSessionsError('PUBLISH_FAILED', message, { topic, outcome: 'not_done' });
      }
      await onPublish?.(batch);
    } catch (error) {
      const message = 'onPublish of memoryPublisher threw';
      const failure = isEventSessionsError(error)
        ? error
        : new EventSessionsError('PUBLISH_FAILED', message, { topic, outcome: 'unknown' }, error);
      failures += 1;
      recent.add(placeOf(batch), failure);
      throw failure;
    }
    batches.add({ ...batch });
    kept += batch.events.length;
    for (const oldest of batches) {
      if (kept - oldest.events.length < maxEvents) break;
      batches.delete(oldest);
      kept -= oldest.events.length;
    }
  }

  return {
    limits: { maxEventBytes },
    get published() {
      return [...batches].flatMap(({ events }) =>
        events.map((event) => ({ topic: event.topic, event: decodeEvent(event) })),
      );
    },
    clear() {
      batches.clear();
      kept = 0;
    },
    publish(batch) {
      const failuresBefore = recent.before(placeOf(batch)) === undefined ? failures : Number.NaN;
      return inTurn(() => publishInTurn(batch, failuresBefore));
    },
    async ping() {},
    async close() {
      await within(
        CLOSE_MS,
        inTurn(async () => {}),
      ).catch(() => {});
    },
  };
}

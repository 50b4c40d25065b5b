import type { TraceContext } from '../core/event.js';
import type { PublishBatch } from './event-publisher.js';

/**
 * Where traces and timings of the library's own work are taken.
 *
 * Nothing that it does reaches anybody: what it throws or rejects with is logged, and the operation runs once and gives
 * its caller its own result, whatever becomes of the promise that the instrumentation holds.
 */
export interface Instrumentation {
  /**
   * Called for each operation. It should call `run`, at once and in the context that what happens inside is to have;
   * the operation is begun without it otherwise. `run` answers how it ends, the same promise each time.
   */
  observe(operation: Operation, run: () => Promise<unknown>): unknown;

  /**
   * The trace that events of the `add` under way belong to. It travels in each of them to the consumer, unless the event
   * brings a `traceparent` of its own or has no room for it within its limit.
   */
  traceContext?(): TraceContext | undefined;
}

export type CommandName =
  | 'startSession'
  | 'addEvents'
  | 'commitSession'
  | 'rollbackSession'
  | 'extendSession';

export type Operation =
  | {
      readonly name: CommandName;
      /** Undefined for a start without an id, and for an input that has none. */
      readonly sessionId: string | undefined;
    }
  /** A call of the publisher, each attempt of it. */
  | { readonly name: 'publish'; readonly batch: PublishBatch }
  /** A pass of recovery. */
  | { readonly name: 'recover' };

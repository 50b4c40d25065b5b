import type { TraceContext } from '../core/event.js';
import type { PublishBatch } from './event-publisher.js';

/**
 * Takes traces and timings of the library's own work.
 *
 * It cannot change that work: errors that it throws or rejects with are logged, and the operation runs exactly once and
 * gives its own result to its caller, whatever the instrumentation does with the promise that it gets.
 */
export interface Instrumentation {
  /**
   * Called for each operation. It should call `run` synchronously, in the context in which the operation is to run;
   * otherwise the operation starts without it. `run` returns the promise of the operation, the same one each time.
   */
  observe(operation: Operation, run: () => Promise<unknown>): unknown;

  /**
   * The trace to which the events of the current `add` belong. They carry it to their consumers, except an event that
   * has a `traceparent` of its own, or would exceed its size limit.
   */
  traceContext?(): TraceContext | undefined;
}

/** The names of `sessions.commands`. */
export type CommandName =
  | 'startSession'
  | 'addEvents'
  | 'commitSession'
  | 'rollbackSession'
  | 'extendSession';

/** What is observed: a command, a call of the publisher, or a recovery pass. */
export type Operation =
  | {
      readonly name: CommandName;
      /** Undefined for a start without an id, and for an input without a valid one. */
      readonly sessionId: string | undefined;
    }
  /** A call of the publisher; a retry is another one. */
  | { readonly name: 'publish'; readonly batch: PublishBatch }
  /** A recovery pass. */
  | { readonly name: 'recover' };

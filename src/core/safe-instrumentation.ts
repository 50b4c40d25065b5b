import type { Instrumentation, Operation } from '../ports/instrumentation.js';
import type { Logger } from '../ports/logger.js';
import { catchRejection, messageOf } from './errors.js';
import { isTraceContext, type TraceContext } from './event.js';

/** Wraps the calls that are observed. Without an instrumentation it returns the calls themselves. */
export interface Observation {
  observed<I extends unknown[], R>(
    call: (...input: I) => Promise<R>,
    operationOf: (...input: NoInfer<I>) => Operation,
  ): (...input: I) => Promise<R>;
  readonly traceContext: (() => TraceContext | undefined) | undefined;
}

/** An instrumentation that throws, rejects, waits or forgets to `run` must not change what the library does. */
export function safeInstrumentation(
  instrumentation: Instrumentation | undefined,
  logger: Logger,
): Observation {
  if (instrumentation === undefined) return { observed: (call) => call, traceContext: undefined };

  const failed = (error: unknown) => logger.error('The instrumentation failed', { cause: messageOf(error) });

  return {
    observed:
      (call, operationOf) =>
      (...input) => {
        let result: ReturnType<typeof call> | undefined;
        const run = () => {
          result ??= (async () => call(...input))();
          return result;
        };
        try {
          const answer = instrumentation.observe(operationOf(...input), run);
          // That it rejects with the error of the operation is no failure of its own.
          catchRejection(answer, (error) =>
            run().then(
              () => failed(error),
              (own) => own === error || failed(error),
            ),
          );
        } catch (error) {
          failed(error);
        }
        return run();
      },

    traceContext() {
      try {
        const trace = instrumentation.traceContext?.();
        if (trace === undefined || isTraceContext(trace)) return trace;
        failed(new Error('traceContext answered no W3C trace context'));
      } catch (error) {
        failed(error);
      }
      return undefined;
    },
  };
}

import * as z from 'zod/mini';
import { loggerSchema } from '../core/safe-logger.js';
import { functionOf, timerMs, validate, wholeNumber, withMethods } from '../core/validate.js';
import type { Logger } from '../ports/logger.js';
import type { PrometheusRegistry } from './metrics-controller.js';
import type { Action } from './route.js';

/**
 * Decides whether the request may do this. Return a `Response` to refuse it with an answer of your own, such as a 401.
 * `sessionId` is undefined for a start without an id, and for `list`, `recover` and `metrics`. It has 10 seconds.
 */
export type Authorize<R> = (
  request: R,
  action: Action,
  sessionId: string | undefined,
) => boolean | Response | Promise<boolean | Response>;

/** `R` is the request of the framework, with whatever a middleware has added to it. */
export interface RouteOptions<R> {
  /** Default: `list`, `recover` and `metrics` are refused, everything else is allowed. */
  readonly authorize?: Authorize<R> | undefined;
  /** The registry that `GET /metrics` returns as Prometheus text. Default: only JSON is returned. */
  readonly prometheus?: PrometheusRegistry | undefined;
  /** The largest body of a request. Default 5 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Milliseconds in which a body must arrive. Default 10,000. */
  readonly bodyTimeoutMs?: number | undefined;
  /** Logs the errors that a caller only sees as a 500. Default: the console. `false`: they are not logged. */
  readonly logger?: Logger | false | undefined;
}

export interface HttpOptions extends RouteOptions<Request> {
  /** Where the routes are mounted, such as `/events`. Default: the root. */
  readonly basePath?: string | undefined;
}

const pathError = 'a path such as /events, without a slash at its end';

const schema = z.strictObject({
  basePath: z._default(
    z.string({ error: pathError }).check(z.regex(/^(\/[A-Za-z0-9._~-]+)*$/, { error: pathError })),
    '',
  ),
  authorize: z.optional(
    functionOf<Authorize<never>>('a function (request, action, sessionId) => boolean | Response'),
  ),
  prometheus: z.optional(withMethods<PrometheusRegistry>('a registry of prom-client', 'metrics')),
  maxBodyBytes: z._default(wholeNumber(1, 1_073_741_824), 5_242_880),
  bodyTimeoutMs: z._default(timerMs(), 10_000),
  logger: loggerSchema,
});

type Resolved<R> = Omit<z.output<typeof schema>, 'authorize'> & Pick<RouteOptions<R>, 'authorize'>;

/** @throws `INVALID_INPUT` naming every option that is wrong, with what was expected. */
export function resolveHttpOptions<R>(options: RouteOptions<R>): Resolved<R> {
  return validate<z.output<typeof schema>>(schema, options, 'The options of the HTTP handler') as Resolved<R>;
}

import * as z from 'zod/mini';
import { loggerSchema } from '../core/safe-logger.js';
import { functionOf, timerMs, validate, wholeNumber, withMethods } from '../core/validate.js';
import type { Logger } from '../ports/logger.js';
import type { PrometheusRegistry } from './metrics-controller.js';
import type { Action } from './route.js';

export interface HttpOptions {
  /** Where the routes are mounted, such as `/events`. Default: the root. */
  readonly basePath?: string | undefined;
  /**
   * Whether the request may do this. `sessionId` is undefined for a start without an id of its own, and for `list`,
   * `recover` and `metrics`. Without the hook those last three are refused, everything else is allowed.
   */
  readonly authorize?:
    | ((request: Request, action: Action, sessionId: string | undefined) => boolean | Promise<boolean>)
    | undefined;
  /** For `GET /metrics` as Prometheus text. */
  readonly prometheus?: PrometheusRegistry | undefined;
  /** Default 5 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Milliseconds in which a body has to arrive. Default 10,000. */
  readonly bodyTimeoutMs?: number | undefined;
  /** Where unknown errors go, which the caller only sees as a 500. Default: the console. `false`: nowhere. */
  readonly logger?: Logger | false | undefined;
}

const pathError = 'a path such as /events, without a slash at its end';

const schema = z.strictObject({
  basePath: z._default(
    z.string({ error: pathError }).check(z.regex(/^(\/[A-Za-z0-9._~-]+)*$/, { error: pathError })),
    '',
  ),
  authorize: z.optional(
    functionOf<NonNullable<HttpOptions['authorize']>>('a function (request, action, sessionId) => boolean'),
  ),
  prometheus: z.optional(withMethods<PrometheusRegistry>('a registry of prom-client', 'metrics')),
  maxBodyBytes: z._default(wholeNumber(1, 1_073_741_824), 5_242_880),
  bodyTimeoutMs: z._default(timerMs(), 10_000),
  logger: loggerSchema,
});

/** @throws `INVALID_INPUT` naming every option that is wrong, with what was expected. */
export function resolveHttpOptions(options: unknown): z.output<typeof schema> {
  return validate<z.output<typeof schema>>(schema, options, 'The options of the HTTP handler');
}

import { STATUS_CODES } from 'node:http';
import { problemOf } from 'event-sessions/http';
import type { ErrorRequestHandler } from 'express';

/** What this service refuses by itself, in the form of Express and body-parser. Its message goes to the client. */
export class HttpError extends Error {
  readonly expose = true;

  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Every error as `application/problem+json` (RFC 9457). Nothing internal reaches the client; 5xx are logged. */
export function problemHandler(log: (message: string, error: unknown) => void): ErrorRequestHandler {
  // Express tells an error handler by its four parameters.
  return (error, request, response, next) => {
    if (response.headersSent) return next(error);
    const { status, headers, body } = toProblem(error);
    if (status >= 500) log(`${request.method} ${request.path} answered ${status}`, error);
    response.status(status).set(headers).send(JSON.stringify(body));
  };
}

/** For the routes of the library, which know nothing of the errors of this service. */
export function problemResponse(error: unknown): Response {
  const { status, headers, body } = toProblem(error);
  return new Response(JSON.stringify(body), { status, headers });
}

function toProblem(error: unknown) {
  const { status, expose, message, headers } = (error ?? {}) as Partial<HttpError>;
  // Ours, of Express, of body-parser: a client's mistake carries a status and says whether its message may be shown.
  if (typeof status !== 'number' || status < 400 || status >= 500) return problemOf(error);
  return {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json' },
    body: {
      title: STATUS_CODES[status],
      status,
      detail: expose === true ? message : 'The request cannot be read.',
    },
  };
}

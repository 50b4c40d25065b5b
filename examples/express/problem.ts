import { STATUS_CODES } from 'node:http';
import { type EventSessionsError, type EventSessionsErrorCode, isEventSessionsError } from 'event-sessions';
import type { ErrorRequestHandler } from 'express';

/** The only place that knows which code is which HTTP status. */
const STATUSES: Record<EventSessionsErrorCode, number> = {
  INVALID_INPUT: 400,
  INVALID_EVENT: 400,
  UNKNOWN_EVENT_TYPE: 400,
  INVALID_TOPIC: 400,
  SESSION_NOT_FOUND: 404,
  SESSION_NOT_OPEN: 409,
  COMMIT_IN_PROGRESS: 409,
  EXPECTED_EVENTS_MISMATCH: 409,
  EVENT_TOO_LARGE: 413,
  SESSION_LIMIT_EXCEEDED: 422,
  STORE_UNAVAILABLE: 503,
  PUBLISH_FAILED: 503,
  CONTINGENCY_FAILED: 503,
  CLOSED: 503,
  SESSION_CORRUPT: 500,
};

const RETRY_AFTER_SECONDS = 5;

/** A problem that this service finds by itself. Its message goes to the client. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly facts: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/** Every error as `application/problem+json` (RFC 9457). Nothing internal reaches the client; 5xx are logged. */
export function problemHandler(log: (message: string, error: unknown) => void): ErrorRequestHandler {
  // Express tells an error handler by its four parameters.
  return (error, request, response, next) => {
    if (response.headersSent) return next(error);
    const { status, detail, facts, retryAfter } = toProblem(error);
    if (status >= 500) log(`${request.method} ${request.path} answered ${status}`, error);
    if (retryAfter !== undefined) response.set('Retry-After', String(retryAfter));
    response
      .status(status)
      .type('application/problem+json')
      .send(JSON.stringify({ title: STATUS_CODES[status], status, detail, ...facts }));
  };
}

interface ProblemAnswer {
  readonly status: number;
  readonly detail: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly retryAfter?: number | undefined;
}

function toProblem(error: unknown): ProblemAnswer {
  if (error instanceof Problem) return { status: error.status, detail: error.message, facts: error.facts };
  if (isEventSessionsError(error)) return ofSession(error);
  // body-parser and Express itself: a client's mistake carries a status and says whether its message may be shown.
  const { status, expose, message } = error as { status?: unknown; expose?: unknown; message: string };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, detail: expose === true ? message : 'The request cannot be read.' };
  }
  return { status: 500, detail: 'Something went wrong on our side.' };
}

function ofSession(error: EventSessionsError): ProblemAnswer {
  const { code, message, issues, limit, expected, actual, retryAfterMs } = error;
  const status = STATUSES[code];
  if (status === 500) return { status, detail: 'Something went wrong on our side.', facts: { code } };
  if (status === 503) {
    const detail = 'The shop cannot take this right now; try again.';
    return { status, detail, facts: { code }, retryAfter: RETRY_AFTER_SECONDS };
  }
  return {
    status,
    // The same words for a checkout that is not there and for one that is somebody else's.
    detail: code === 'SESSION_NOT_FOUND' ? 'There is no such checkout.' : message,
    // `status` is taken by the HTTP status.
    facts: { code, issues, limit, expected, actual, sessionStatus: error.status },
    retryAfter: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1_000),
  };
}

import { STATUS_CODES } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { type EventSessionsError, type EventSessionsErrorCode, isEventSessionsError } from 'event-sessions';
import type { Request, Response } from 'express';

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

interface Problem {
  readonly status: number;
  readonly detail: string;
  readonly retryAfter?: number | undefined;
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** Every error as `application/problem+json` (RFC 9457). Nothing internal reaches the client; 5xx are logged. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger(ProblemFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const { status, detail, facts, retryAfter } = toProblem(error);
    if (status >= 500) {
      this.logger.error(
        `${request.method} ${request.path} answered ${status}`,
        (error as Error)?.stack ?? error,
      );
    }
    if (response.headersSent) return void response.destroy();
    if (retryAfter !== undefined) response.set('Retry-After', String(retryAfter));
    response
      .status(status)
      .type('application/problem+json')
      .send(JSON.stringify({ title: STATUS_CODES[status], status, detail, ...facts }));
  }
}

const OURS = 'Something went wrong on our side.';

function toProblem(error: unknown): Problem {
  if (isEventSessionsError(error)) return ofSession(error);
  if (error instanceof HttpException) return ofNest(error);
  // body-parser: a client's mistake carries a status and says whether its message may be shown.
  const { status, expose, message } = (error ?? {}) as {
    status?: unknown;
    expose?: unknown;
    message: string;
  };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, detail: expose === true ? message : 'The request cannot be read.' };
  }
  return { status: 500, detail: OURS };
}

function ofNest(error: HttpException): Problem {
  const status = error.getStatus();
  if (status >= 500) return { status, detail: OURS };
  const body = error.getResponse();
  return {
    status,
    detail: error.message,
    facts: { issues: typeof body === 'object' && 'issues' in body ? body.issues : undefined },
  };
}

function ofSession(error: EventSessionsError): Problem {
  const { code, message, issues, limit, expected, actual, retryAfterMs } = error;
  const status = STATUSES[code];
  if (status === 500) return { status, detail: OURS, facts: { code } };
  if (status === 503) {
    const detail = 'The service cannot take this right now; try again.';
    return { status, detail, retryAfter: RETRY_AFTER_SECONDS, facts: { code } };
  }
  return {
    status,
    detail: message,
    retryAfter: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1_000),
    // `status` is taken by the HTTP status.
    facts: { code, issues, limit, expected, actual, sessionStatus: error.status },
  };
}

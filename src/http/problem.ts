import { STATUS_CODES } from 'node:http';
import {
  type EventSessionsErrorCode,
  type EventSessionsErrorFacts,
  isEventSessionsError,
} from '../core/errors.js';
import type { SessionStatus } from '../core/lifecycle.js';

/** What only the HTTP edge refuses. */
type EdgeCode =
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_ACCEPTABLE'
  | 'BODY_TIMEOUT'
  | 'BODY_TOO_LARGE'
  | 'URL_TOO_LONG'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'INTERNAL_ERROR';

/** An error code, or one for what only the HTTP layer refuses. */
export type ProblemCode = EventSessionsErrorCode | EdgeCode;

/** The only place where a code has an HTTP status. */
export const STATUS: Readonly<Record<ProblemCode, number>> = {
  INVALID_INPUT: 400,
  INVALID_EVENT: 400,
  UNKNOWN_EVENT_TYPE: 400,
  INVALID_TOPIC: 400,
  EVENT_TOO_LARGE: 413,
  SESSION_LIMIT_EXCEEDED: 409,
  SESSION_NOT_FOUND: 404,
  SESSION_NOT_OPEN: 409,
  COMMIT_IN_PROGRESS: 409,
  EXPECTED_EVENTS_MISMATCH: 409,
  SESSION_CORRUPT: 500,
  STORE_UNAVAILABLE: 503,
  PUBLISH_FAILED: 503,
  CONTINGENCY_FAILED: 503,
  CLOSED: 503,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  BODY_TIMEOUT: 408,
  BODY_TOO_LARGE: 413,
  URL_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  INTERNAL_ERROR: 500,
};

/** Also of a problem: caches keep a 404 that does not say so, and the session may be started meanwhile. */
export const NO_STORE = { 'cache-control': 'no-store' } as const;

/** Seconds after which a part that is down is worth another try: the circuit breaker asks it again after 5 s. */
const UNAVAILABLE_RETRY_S = 5;

/** Thrown by the edge, answered as a problem. */
export class HttpProblem extends Error {
  constructor(
    readonly code: EdgeCode | 'INVALID_INPUT',
    detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
  }
}

/** The body of a problem (RFC 9457), with the code and the facts of the error. */
export interface ProblemDetails
  extends Pick<
    EventSessionsErrorFacts,
    'sessionId' | 'eventId' | 'index' | 'issues' | 'limit' | 'expected' | 'actual'
  > {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  /** The `status` of the error, of its session. In a problem, `status` is the status code of HTTP. */
  readonly sessionStatus?: SessionStatus | undefined;
}

/** An error as an HTTP response. */
export interface Problem {
  readonly status: number;
  /** `content-type`, `cache-control`, and `retry-after` where another try may help. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ProblemDetails;
}

/**
 * Any error as the routes respond to it, for routes of your own. When the caller must not know more, it has only the
 * code; an error that is not of this library becomes an `INTERNAL_ERROR`.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof HttpProblem) return problem(error.code, error.message, {}, error.headers);
  if (!isEventSessionsError(error)) return problem('INTERNAL_ERROR', 'The request failed', {});
  const { code, sessionId, eventId, index, status: sessionStatus, issues, limit, expected, actual } = error;
  const detail = STATUS[code] < 500 ? error.message : 'The service cannot do this now';
  const facts = { sessionId, eventId, index, sessionStatus, issues, limit, expected, actual };
  return problem(code, detail, facts, retryAfter(code, error.retryAfterMs));
}

export function problemResponse(error: unknown): Response {
  const { status, headers, body } = problemOf(error);
  return new Response(JSON.stringify(body), { status, headers });
}

/** Whether the operator should hear of it. */
export function isOurFault(error: unknown): boolean {
  if (error instanceof HttpProblem) return false;
  return !isEventSessionsError(error) || STATUS[error.code] === 500;
}

function retryAfter(code: ProblemCode, retryAfterMs: number | undefined): Record<string, string> {
  if (retryAfterMs !== undefined)
    return { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) };
  return STATUS[code] === 503 ? { 'retry-after': String(UNAVAILABLE_RETRY_S) } : {};
}

function problem(
  code: ProblemCode,
  detail: string,
  facts: Partial<ProblemDetails>,
  headers: Readonly<Record<string, string>> = {},
): Problem {
  const status = STATUS[code];
  const title = STATUS_CODES[status] ?? code;
  return {
    status,
    headers: { ...headers, 'content-type': 'application/problem+json', ...NO_STORE },
    body: { type: 'about:blank', title, status, detail, code, ...facts },
  };
}

import { STATUS_CODES } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { problemOf } from 'event-sessions/http';
import type { Request, Response } from 'express';

/** Every error as `application/problem+json` (RFC 9457). Nothing internal reaches the client; 5xx are logged. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger(ProblemFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const { status, headers, body } = toProblem(error);
    if (status >= 500) {
      this.logger.error(
        `${request.method} ${request.path} answered ${status}`,
        (error as Error)?.stack ?? error,
      );
    }
    if (response.headersSent) return void response.destroy();
    response.status(status).set(headers).send(JSON.stringify(body));
  }
}

function toProblem(error: unknown) {
  if (error instanceof HttpException) return ofNest(error);
  // body-parser: a client's mistake carries a status and says whether its message may be shown.
  const { status, expose, message } = (error ?? {}) as Partial<
    Record<'status' | 'expose' | 'message', unknown>
  >;
  if (typeof status !== 'number' || status < 400 || status >= 500) return problemOf(error);
  return httpProblem(status, expose === true ? message : 'The request cannot be read.');
}

function ofNest(error: HttpException) {
  const status = error.getStatus();
  if (status >= 500) return httpProblem(status, 'Something went wrong on our side.');
  const body = error.getResponse();
  const issues = typeof body === 'object' && 'issues' in body ? body.issues : undefined;
  return httpProblem(status, error.message, { issues });
}

function httpProblem(status: number, detail: unknown, facts: object = {}) {
  return {
    status,
    headers: { 'content-type': 'application/problem+json' },
    body: { title: STATUS_CODES[status], status, detail, ...facts },
  };
}

import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { tap } from 'rxjs';

/** Answers a command with `202 Accepted` when its receipt says that recovery will do the rest. */
export class DeferredInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    const http = context.switchToHttp();
    if (http.getRequest<Request>().method !== 'POST') return next.handle();
    return next.handle().pipe(
      tap(({ status, deferred }: { status?: string; deferred: boolean | number }) => {
        if (deferred || status === 'committing') http.getResponse<Response>().status(202);
      }),
    );
  }
}

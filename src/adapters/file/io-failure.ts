import { EventSessionsError, isEventSessionsError } from '../../core/errors.js';

/** `CONTINGENCY_FAILED` that names what was tried, the path and the errno; the original is its `cause`. */
export function ioFailure(action: string, path: string, cause: unknown): EventSessionsError {
  if (isEventSessionsError(cause)) return cause;
  const why = errnoOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
  return new EventSessionsError('CONTINGENCY_FAILED', `cannot ${action} ${path}: ${why}`, {}, cause);
}

/** For `catch`: what is not there is undefined, any other fault is thrown again. */
export function missing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

/** The symbolic errno (`ENOSPC`, `EACCES`, …) of an error of the operating system. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

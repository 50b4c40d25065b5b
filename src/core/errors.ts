import { types } from 'node:util';
import type { SessionStatus } from './lifecycle.js';

/** Every way in which this library refuses or fails. The codes are part of the public contract. */
export const ERROR_CODES = [
  'INVALID_INPUT',
  'INVALID_EVENT',
  'UNKNOWN_EVENT_TYPE',
  'INVALID_TOPIC',
  'EVENT_TOO_LARGE',
  'SESSION_LIMIT_EXCEEDED',
  'SESSION_NOT_FOUND',
  'SESSION_NOT_OPEN',
  'COMMIT_IN_PROGRESS',
  'EXPECTED_EVENTS_MISMATCH',
  'SESSION_CORRUPT',
  'STORE_UNAVAILABLE',
  'PUBLISH_FAILED',
  'CONTINGENCY_FAILED',
  'CLOSED',
] as const;

export type EventSessionsErrorCode = (typeof ERROR_CODES)[number];

/**
 * What became of a remote call that failed.
 *
 * - `not_done`: it certainly had no effect;
 * - `unknown`: it may have had one (cut off or timed out), so repeating it must be idempotent;
 * - `refused`: repeating it unchanged is pointless; of a batch, at least one event will never be taken.
 */
export type FailureOutcome = 'not_done' | 'unknown' | 'refused';

/** One mistake in an input. */
export interface InputIssue {
  /** Where it is: member names with dots between them, such as `limits.maxDepth`; empty for the input as a whole. */
  readonly path: string;
  /** What was expected there, and what came. */
  readonly message: string;
}

/** What an error is about. These are fields of the error; which of them are set depends on its code. */
export interface EventSessionsErrorFacts {
  readonly sessionId?: string | undefined;
  readonly eventId?: string | undefined;
  /** Which event was refused: its position, from 0, among the events of the call. */
  readonly index?: number | undefined;
  /** `SESSION_CORRUPT`: the position in the session, from 1, of what should be an event and is not. */
  readonly sequence?: number | undefined;
  readonly eventType?: string | undefined;
  readonly topic?: string | undefined;
  /** `SESSION_NOT_OPEN`: the status of the session. */
  readonly status?: SessionStatus | undefined;
  /** `COMMIT_IN_PROGRESS`: milliseconds until the lease of the other attempt ends, unless it is renewed. */
  readonly retryAfterMs?: number | undefined;
  /** `INVALID_INPUT`, `INVALID_EVENT`: the mistakes in the input, at most the first 100. */
  readonly issues?: readonly InputIssue[] | undefined;
  /** `EVENT_TOO_LARGE`, `SESSION_LIMIT_EXCEEDED`: the limit that was exceeded. */
  readonly limit?: number | undefined;
  /**
   * `EXPECTED_EVENTS_MISMATCH`, `SESSION_CORRUPT`: how many events there should be, and in `actual` how many there are.
   */
  readonly expected?: number | undefined;
  /** Beside `expected` or `limit`: what was found instead. */
  readonly actual?: number | undefined;
  /** `STORE_UNAVAILABLE`, `PUBLISH_FAILED`: what became of the call. */
  readonly outcome?: FailureOutcome | undefined;
}

export interface EventSessionsError extends EventSessionsErrorFacts {}

/**
 * The only error this library throws.
 *
 * Tell errors apart by `code` (see {@link isEventSessionsError}), not by `instanceof`: every CommonJS entry point
 * of the package carries its own copy of this class.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the facts become fields by Object.assign
export class EventSessionsError extends Error {
  override readonly name = 'EventSessionsError';
  readonly code: EventSessionsErrorCode;

  constructor(
    code: EventSessionsErrorCode,
    message: string,
    facts: EventSessionsErrorFacts = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    Object.assign(this, facts);
  }
}

/** The facts that every error of a code has. */
interface SureFacts {
  UNKNOWN_EVENT_TYPE: 'eventType';
  SESSION_LIMIT_EXCEEDED: 'sessionId' | 'limit';
  SESSION_NOT_FOUND: 'sessionId';
  SESSION_NOT_OPEN: 'sessionId' | 'status';
  COMMIT_IN_PROGRESS: 'sessionId' | 'retryAfterMs';
  EXPECTED_EVENTS_MISMATCH: 'sessionId' | 'expected' | 'actual';
}

/** An error of this code, with the facts that it always has. */
export type EventSessionsErrorOf<C extends EventSessionsErrorCode> = C extends EventSessionsErrorCode
  ? EventSessionsError & { readonly code: C } & FactsOf<C>
  : never;

type FactsOf<C> = C extends keyof SureFacts
  ? { readonly [F in SureFacts[C]]: NonNullable<EventSessionsErrorFacts[F]> }
  : unknown;

/**
 * Whether `error` is an {@link EventSessionsError} and, if a code is given, has that code. Recognizes errors of other
 * realms and of other copies of the class, and never throws.
 */
export function isEventSessionsError<C extends EventSessionsErrorCode>(
  error: unknown,
  code?: C,
): error is EventSessionsErrorOf<C> {
  try {
    if (!types.isNativeError(error) || error.name !== 'EventSessionsError') return false;
    const actual = (error as { code?: unknown }).code;
    return code === undefined ? ERROR_CODES.includes(actual as EventSessionsErrorCode) : actual === code;
  } catch {
    return false;
  }
}

/** The message of whatever was thrown. Never throws itself. */
export function messageOf(thrown: unknown): string {
  try {
    return String(types.isNativeError(thrown) ? thrown.message : thrown);
  } catch {
    return 'something was thrown that has no text';
  }
}

/** Handles the rejection of what a user's function returned, if that is a promise, of whatever kind and realm. */
export function catchRejection(answer: unknown, handle: (error: unknown) => void): void {
  if (typeof answer === 'object' && answer !== null) Promise.resolve(answer).catch(handle);
}

/** For a promise that may reject before anybody awaits it. Whoever awaits it still gets the error. */
export function ignoringUntilAwaited<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** The codes that are about the health of the system, not about what a caller got wrong or was too late for. */
export const SYSTEM_FAILURES = [
  'SESSION_CORRUPT',
  'STORE_UNAVAILABLE',
  'PUBLISH_FAILED',
  'CONTINGENCY_FAILED',
] as const;

export function isSystemFailure(
  error: unknown,
): error is EventSessionsError & { readonly code: (typeof SYSTEM_FAILURES)[number] } {
  return SYSTEM_FAILURES.some((code) => isEventSessionsError(error, code));
}

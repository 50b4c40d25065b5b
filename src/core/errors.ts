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
 * - `refused`: repeating it as it is is pointless; of a batch, at least one event will never be taken.
 */
export type FailureOutcome = 'not_done' | 'unknown' | 'refused';

/** One thing wrong with an input: where it is and what was expected there. */
export interface InputIssue {
  readonly path: string;
  readonly message: string;
}

/** The facts of an error, as fields of it. Which are set depends on the code. */
export interface EventSessionsErrorFacts {
  readonly sessionId?: string | undefined;
  readonly eventId?: string | undefined;
  /** The event that was refused, by its position in the events that were given (from 0). */
  readonly index?: number | undefined;
  /** `SESSION_CORRUPT`: the position in the session (from 1) of what is no event. */
  readonly sequence?: number | undefined;
  readonly eventType?: string | undefined;
  readonly topic?: string | undefined;
  /** `SESSION_NOT_OPEN`: the status that the session has instead. */
  readonly status?: SessionStatus | undefined;
  /** `COMMIT_IN_PROGRESS`: milliseconds until the other attempt's lease is over, if it is not renewed. */
  readonly retryAfterMs?: number | undefined;
  /** `INVALID_INPUT`, `INVALID_EVENT`: what is wrong with the input, the first 100 things of it. */
  readonly issues?: readonly InputIssue[] | undefined;
  /** `EVENT_TOO_LARGE`, `SESSION_LIMIT_EXCEEDED`: the limit that was met. */
  readonly limit?: number | undefined;
  readonly expected?: number | undefined;
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

/** By code, the facts that every error of it has. */
interface SureFacts {
  UNKNOWN_EVENT_TYPE: 'eventType';
  SESSION_LIMIT_EXCEEDED: 'sessionId' | 'limit';
  SESSION_NOT_FOUND: 'sessionId';
  SESSION_NOT_OPEN: 'sessionId' | 'status';
  COMMIT_IN_PROGRESS: 'sessionId' | 'retryAfterMs';
  EXPECTED_EVENTS_MISMATCH: 'sessionId' | 'expected' | 'actual';
}

/** An error of that code, with the facts that go with it. */
export type EventSessionsErrorOf<C extends EventSessionsErrorCode> = C extends EventSessionsErrorCode
  ? EventSessionsError & { readonly code: C } & FactsOf<C>
  : never;

type FactsOf<C> = C extends keyof SureFacts
  ? { readonly [F in SureFacts[C]]: NonNullable<EventSessionsErrorFacts[F]> }
  : unknown;

/**
 * Whether `error` is one of ours and, if a code is given, whether it has that code. Works across realms and copies, and
 * never throws.
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

/** What was thrown, as text. Anything can be thrown, so it never throws itself. */
export function messageOf(thrown: unknown): string {
  try {
    return String(types.isNativeError(thrown) ? thrown.message : thrown);
  } catch {
    return 'something was thrown that has no text';
  }
}

/** Of what a function of the user answered: if it is a promise, of whatever kind and realm, it may reject unseen. */
export function catchRejection(answer: unknown, handle: (error: unknown) => void): void {
  if (typeof answer === 'object' && answer !== null) Promise.resolve(answer).catch(handle);
}

/** It may fail while nobody waits for it; whoever does will be told. */
export function ignoringUntilAwaited<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** What tells of the health of the system, and not of what a caller got wrong or came too late for. */
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

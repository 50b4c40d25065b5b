import type { FailureOutcome } from '../../core/errors.js';

/** What nsqd says of a command when it refuses it, and what became of that command. */
export interface NsqdRefusal {
  readonly code: string;
  readonly outcome: FailureOutcome;
}

/**
 * nsqd checks all of a command before it stores any of it, except for the storing itself: `E_MPUB_FAILED` with a full
 * disk leaves a part of the messages in the topic. Source: nsqd 1.3.0, `protocol_v2.go`.
 */
const OUTCOMES: Readonly<Record<string, FailureOutcome>> = {
  E_BAD_TOPIC: 'refused',
  E_BAD_MESSAGE: 'refused',
  E_BAD_BODY: 'refused',
  E_AUTH_FIRST: 'not_done',
  E_AUTH_FAILED: 'not_done',
  E_UNAUTHORIZED: 'not_done',
};

/** By `E_BAD_MESSAGE` or `E_BAD_BODY`: the rest did not come, or not within a minute. It says nothing of the message. */
const CUT_SHORT = /^E_BAD_(MESSAGE|BODY) \w+ failed to read /;

/** With `--tls-required` nsqd takes no command but IDENTIFY over a connection without TLS, whose answer does not tell. */
const WANTS_TLS = /^E_INVALID .*\(TLS required\)$/;

/** nsqd's answer, if the error is one: nsqjs makes the text of an error frame the message of an `Error`. */
export function refusalOf(error: unknown): NsqdRefusal | undefined {
  const { message } = toError(error);
  const code = /^E_[A-Z_]+/.exec(message)?.[0];
  if (code === undefined) return undefined;
  const isUntouched = CUT_SHORT.test(message) || WANTS_TLS.test(message);
  return { code, outcome: isUntouched ? 'not_done' : (OUTCOMES[code] ?? 'unknown') };
}

/** nsqjs hands on whatever it was given: strings, plain objects, nothing. */
export function toError(error: unknown): Error {
  if (error instanceof Error) return error;
  if (error === undefined || error === null) return new Error('nsqjs gave no reason');
  return new Error(typeof error === 'string' ? error : JSON.stringify(error));
}

/** A cause on one line. An AggregateError (a host name with several addresses) has no message, only a code. */
export function reasonOf(error: unknown): string {
  const { message, name } = toError(error);
  const { code } = toError(error) as NodeJS.ErrnoException;
  if (WANTS_TLS.test(message))
    return `${message}: nsqPublisher does no TLS, start nsqd without --tls-required`;
  return message || code || name;
}

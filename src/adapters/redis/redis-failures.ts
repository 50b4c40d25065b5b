import { EventSessionsError, messageOf } from '../../core/errors.js';

/** Replies with which Redis says that it has not carried out the command. */
const REFUSALS =
  /^(READONLY|OOM|MISCONF|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|TRYAGAIN)\b/;
const DEMOTED = /^(READONLY|MASTERDOWN)\b/;
/**
 * What Redis before 7 puts before the code of an error within a script: `@user_script:8: @user_script: 8: -READONLY …`.
 * Only of those with which it refuses the first write of a script, and so all of it.
 */
const PLACE_IN_SCRIPT =
  /^ERR Error running script \(call to f_[0-9a-f]{40}\): (@user_script: ?\d+: )+-?(?=(READONLY|OOM|MISCONF)\b)/;
const NEVER_SENT =
  /enableOfflineQueue options is false|ClusterAllFailedError|None of startup nodes is available/;

/** The server has become a replica. */
export function isDemotion(error: unknown): boolean {
  return DEMOTED.test(errorReplyOf(error));
}

/** The text of an error, with the code of Redis first if it has one. */
function errorReplyOf(error: unknown): string {
  return messageOf(error).replace(PLACE_IN_SCRIPT, '');
}

/** `mayBeResent`: the error may be the answer to a repetition, so it does not say what became of the first time. */
export function toStoreError(error: unknown, mayBeResent: boolean): EventSessionsError {
  if (error instanceof EventSessionsError) return error;
  const message = messageOf(error);
  const isNotDone = !mayBeResent && (REFUSALS.test(errorReplyOf(error)) || NEVER_SENT.test(message));
  const outcome = isNotDone ? 'not_done' : 'unknown';
  return new EventSessionsError('STORE_UNAVAILABLE', `Redis: ${message}`, { outcome }, error);
}

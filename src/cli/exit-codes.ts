/** What the exit codes of `event-sessions` mean. They exist nowhere else: the library has error codes. */
export const EXIT = {
  /** Everything that was asked for is done. */
  ok: 0,
  /** Something is left, was quarantined, is wrong, or failed. */
  left: 1,
  /** Wrong command, flag, variable or config file; a package that is needed is not installed. */
  usage: 2,
  /** The store or the broker could not be reached. */
  unreachable: 3,
} as const;

/** 128 and the number of the signal, as shells have it. */
export function exitCodeOfSignal(reason: unknown): number {
  return reason === 'SIGTERM' ? 143 : 130;
}

/** Something the user has to put right before anything can be done; the message says what. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

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

/** The exit code of work that changes nothing, and so may be left where it is when somebody asks for the end. */
export function untilAborted(signal: AbortSignal, work: Promise<number>): Promise<number> {
  const aborted = new Promise<number>((resolve) => {
    const end = () => resolve(exitCodeOfSignal(signal.reason));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
  return Promise.race([work, aborted]);
}

/** Something the user has to put right before anything can be done; the message says what. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

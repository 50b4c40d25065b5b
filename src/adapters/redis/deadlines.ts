/**
 * Deadlines for many waits of equal length, with one timer: making and clearing one for each wait costs more than all else
 * that is done to keep a deadline. What begins first is due first.
 *
 * Holds the process while somebody waits, and only then.
 */
export interface Deadlines {
  /** Calls `late` when the time is over, unless {@link Deadline.met} was called before. */
  begin(late: () => void): Deadline;
}

export interface Deadline {
  /** Of `performance.now()`. */
  readonly begunAt: number;
  met(): void;
}

export function createDeadlines(ms: number): Deadlines {
  const waiting = new Set<Wait>();
  let timer: NodeJS.Timeout | undefined;

  class Wait implements Deadline {
    readonly begunAt = performance.now();
    constructor(readonly late: () => void) {}

    met(): void {
      if (waiting.delete(this) && waiting.size === 0) timer?.unref();
    }
  }

  function look(): void {
    timer = undefined;
    const dueBegun = performance.now() - ms;
    for (const wait of waiting) {
      if (wait.begunAt > dueBegun) {
        // One that was told that it is late may have begun another wait, and the timer with it.
        clearTimeout(timer);
        timer = setTimeout(look, wait.begunAt - dueBegun);
        return;
      }
      waiting.delete(wait);
      wait.late();
    }
  }

  return {
    begin(late) {
      const wait = new Wait(late);
      if (timer === undefined) timer = setTimeout(look, ms);
      else if (waiting.size === 0) timer.ref();
      waiting.add(wait);
      return wait;
    },
  };
}

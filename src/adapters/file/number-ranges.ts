/** A set of whole numbers that mostly come in runs: what it takes of memory is the number of gaps, not of members. */
export interface NumberRanges {
  has(n: number): boolean;
  /** Adds all from `first` to `last`; answers how many of them are new. */
  add(first: number, last?: number): number;
  /** How many numbers it has. */
  readonly size: number;
}

export function numberRanges(): NumberRanges {
  /** Beginning and end of each run, rising, with a gap between any two. */
  const firsts: number[] = [];
  const lasts: number[] = [];
  let size = 0;

  /** The first run that ends at `n` or behind it. */
  function runAt(n: number): number {
    if (n > (lasts.at(-1) ?? Number.NEGATIVE_INFINITY)) return lasts.length;
    let low = 0;
    let high = lasts.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((lasts[middle] as number) < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    get size() {
      return size;
    },
    has(n) {
      const run = runAt(n);
      return run < firsts.length && (firsts[run] as number) <= n;
    },
    add(first, last = first) {
      const newest = lasts.length - 1;
      if (first - 1 === lasts[newest]) {
        lasts[newest] = last;
        size += last - first + 1;
        return last - first + 1;
      }
      const from = runAt(first - 1);
      let to = from;
      let known = 0;
      let start = first;
      let end = last;
      for (; to < firsts.length && (firsts[to] as number) <= last + 1; to += 1) {
        const runFirst = firsts[to] as number;
        const runLast = lasts[to] as number;
        known += Math.max(0, Math.min(runLast, last) - Math.max(runFirst, first) + 1);
        start = Math.min(start, runFirst);
        end = Math.max(end, runLast);
      }
      firsts.splice(from, to - from, start);
      lasts.splice(from, to - from, end);
      const added = last - first + 1 - known;
      size += added;
      return added;
    },
  };
}

/** `AbortSignal.any`, but after `dispose` nothing stays behind on a signal that lives on. */
export function anySignal(...signals: (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  dispose(): void;
} {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const offs: (() => void)[] = [];
  for (const signal of signals) {
    if (signal?.aborted) abort();
    else if (signal !== undefined) offs.push(onAbort(signal, abort));
  }
  return {
    signal: controller.signal,
    dispose() {
      for (const off of offs) off();
    },
  };
}

interface Followers {
  readonly calls: Set<() => void>;
  readonly listener: () => void;
}

const followed = new WeakMap<AbortSignal, Followers>();

/**
 * Calls `call` when the signal aborts, unless the function that it returns was called before. However many follow a signal,
 * it has one listener: of more than ten Node warns, as of a leak.
 */
function onAbort(signal: AbortSignal, call: () => void): () => void {
  const { calls, listener } = followed.get(signal) ?? follow(signal);
  calls.add(call);
  return () => {
    if (!calls.delete(call) || calls.size > 0) return;
    signal.removeEventListener('abort', listener);
    followed.delete(signal);
  };
}

function follow(signal: AbortSignal): Followers {
  const calls = new Set<() => void>();
  const listener = () => {
    for (const call of calls) call();
  };
  const followers = { calls, listener };
  followed.set(signal, followers);
  signal.addEventListener('abort', listener, { once: true });
  return followers;
}

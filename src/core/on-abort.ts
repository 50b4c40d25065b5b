interface Followers {
  readonly calls: Set<() => void>;
  readonly listener: () => void;
}

const followed = new WeakMap<AbortSignal, Followers>();

/**
 * Calls when the signal aborts, until what it answers is called. However many follow a signal, it has one listener: of
 * more than ten Node warns, as of a leak.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
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

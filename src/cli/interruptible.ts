import { EventSessionsError } from '../core/errors.js';
import type { EventPublisher } from '../ports/event-publisher.js';
import type { SessionStore } from '../ports/session-store.js';

/**
 * Lets a recovery pass come to an end between two sessions. Once the signal has aborted, the session at work may be
 * brought to its end; for any other one, store and publisher say `not_done`. Recovery takes that for an outage: what
 * it has not looked at stays in the log, in its place.
 */
export function interruptible(
  store: SessionStore,
  publisher: EventPublisher,
  signal: AbortSignal,
): { readonly store: SessionStore; readonly publisher: EventPublisher } {
  let atWork: string | undefined;

  function admit(sessionId: string | undefined, code: 'STORE_UNAVAILABLE' | 'PUBLISH_FAILED'): void {
    if (!signal.aborted) atWork = sessionId ?? atWork;
    else if (sessionId === undefined || sessionId !== atWork) {
      throw new EventSessionsError(code, 'The recovery was asked to end', { sessionId, outcome: 'not_done' });
    }
  }

  const guarded = { ...store };
  for (const method of Object.keys(store) as (keyof SessionStore)[]) {
    if (method === 'close') continue;
    const call = store[method] as (...args: unknown[]) => Promise<unknown>;
    const wrapped = async (...args: unknown[]) => {
      admit(sessionIdOf(args[0]), 'STORE_UNAVAILABLE');
      return call.apply(store, args);
    };
    Object.assign(guarded, { [method]: wrapped });
  }
  return {
    store: guarded,
    publisher: {
      limits: publisher.limits,
      async publish(batch) {
        admit(batch.sessionId, 'PUBLISH_FAILED');
        return publisher.publish(batch);
      },
      ping: () => publisher.ping(),
      close: () => publisher.close(),
    },
  };
}

function sessionIdOf(argument: unknown): string | undefined {
  if (typeof argument === 'string') return argument;
  const { sessionId } = (argument ?? {}) as { sessionId?: unknown };
  return typeof sessionId === 'string' ? sessionId : undefined;
}

import type { CircuitBreaker } from '../core/circuit-breaker.js';
import { EventSessionsError, isEventSessionsError, messageOf } from '../core/errors.js';
import type { SessionStore } from '../ports/session-store.js';

/**
 * One call of the store, through the breaker. If the store is down, `orElse` is done instead; without it, the call
 * rejects with `STORE_UNAVAILABLE`.
 */
export type StoreCall = <T, D = never>(
  sessionId: string | undefined,
  call: (store: SessionStore) => Promise<T>,
  orElse?: OrElse<D>,
) => Promise<T | D>;

export type OrElse<D> = ((failure: EventSessionsError) => Promise<D>) | undefined;

export function createStoreCall(store: SessionStore, breaker: CircuitBreaker): StoreCall {
  return async (sessionId, call, orElse) => {
    let failure: EventSessionsError;
    if (breaker.allows()) {
      try {
        const result = await call(store);
        breaker.succeeded();
        return result;
      } catch (error) {
        if (isEventSessionsError(error) && error.code !== 'STORE_UNAVAILABLE') throw error;
        failure = toStoreError(error, sessionId);
        breaker.failed(failure);
      }
    } else {
      const message = 'The store has failed repeatedly and is not asked again yet';
      const facts = { sessionId, outcome: 'not_done' } as const;
      failure = new EventSessionsError('STORE_UNAVAILABLE', message, facts, breaker.lastFailure);
    }
    if (orElse === undefined) throw failure;
    return orElse(failure);
  };
}

function toStoreError(error: unknown, sessionId: string | undefined): EventSessionsError {
  const known = isEventSessionsError(error);
  return new EventSessionsError(
    'STORE_UNAVAILABLE',
    messageOf(error),
    { sessionId, outcome: known ? (error.outcome ?? 'unknown') : 'unknown' },
    known ? (error.cause ?? error) : error,
  );
}

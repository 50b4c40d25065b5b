import { EventSessionsError } from '../../src/core/errors.js';
import type { SessionStore } from '../../src/ports/session-store.js';

/**
 * - `up`: everything goes through;
 * - `down`: nothing is done, and the caller knows;
 * - `cut before`: nothing is done, and the caller can't know;
 * - `cut after`: it is done, and the caller can't know.
 */
export type StoreFault = 'up' | 'down' | 'cut before' | 'cut after';

export interface FaultyStore extends SessionStore {
  fault: StoreFault;
  /** Decides for each call, if set: the method's name in, what becomes of it out. */
  decide: ((method: keyof SessionStore) => StoreFault) | undefined;
}

/** One instance's way to a store: several of them on one store fail each for itself. */
export function faultyStore(store: SessionStore): FaultyStore {
  const faulty = { ...store, fault: 'up' as StoreFault, decide: undefined } as FaultyStore;
  for (const method of Object.keys(store) as (keyof SessionStore)[]) {
    if (method === 'close') continue;
    const call = store[method] as (...args: unknown[]) => Promise<unknown>;
    (faulty as unknown as Record<string, unknown>)[method] = async (...args: unknown[]) => {
      const fault = faulty.decide?.(method) ?? faulty.fault;
      if (fault === 'up') return call(...args);
      if (fault === 'cut after') await call(...args);
      const outcome = fault === 'down' ? 'not_done' : 'unknown';
      throw new EventSessionsError('STORE_UNAVAILABLE', `the store is ${fault}`, { outcome });
    };
  }
  return faulty;
}

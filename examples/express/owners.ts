import { EventSessionsError, isEventSessionsError } from 'event-sessions';
import type { ShopSessions } from './shop-events.js';

export interface Owners {
  /** Says whose a checkout is that was just started here. */
  remember(id: string, user: string): void;
  /** Throws `SESSION_NOT_FOUND` unless the checkout is this user's: nobody learns which ids exist. */
  check(id: string, user: string): Promise<void>;
}

const REMEMBERED = 10_000;

/**
 * Whose session is whose: kept in the session's metadata.
 *
 * An owner never changes, so what has been read once is remembered. That spares a round trip, and lets this instance
 * go on with the checkouts it knows while the store is down.
 */
export function createOwners(sessions: ShopSessions): Owners {
  const known = new Map<string, unknown>();

  function remember(id: string, user: unknown): void {
    known.set(id, user);
    if (known.size > REMEMBERED) known.delete(known.keys().next().value ?? '');
  }

  /** Undefined for a session that there is not. */
  async function ownerOf(id: string): Promise<unknown> {
    if (known.has(id)) return known.get(id);
    try {
      const { metadata } = await sessions.session(id).status();
      remember(id, metadata.user);
      return metadata.user;
    } catch (error) {
      if (isEventSessionsError(error, 'SESSION_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  return {
    remember,
    async check(id, user) {
      // The same words for a checkout that is not there and for one that is somebody else's.
      if ((await ownerOf(id)) !== user)
        throw new EventSessionsError('SESSION_NOT_FOUND', `There is no checkout ${id}`, { sessionId: id });
    },
  };
}

import { randomFillSync } from 'node:crypto';
import { forgetOldest } from './forget-oldest.js';

const ID_BYTES = 16;
const pool = Buffer.allocUnsafe(ID_BYTES * 256);
let used = pool.length;

/** 128 random bits from the operating system's CSPRNG, as 22 characters of base64url. Random bytes are drawn 256 ids at a time. */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.toString('base64url', used - ID_BYTES, used);
}

/** How many sessions a writer of ids remembers its place in; of a session beyond that it begins anew. */
const REMEMBERED_SESSIONS = 10_000;

/**
 * Ids for the events that this instance adds: a prefix of its own for each session, 128 random bits, and a number
 * that rises without a gap, `QmzL…w-17`. A store can keep what it has seen of such ids as a range of numbers, where
 * it would otherwise have to keep every id.
 */
export function createEventIds(): (sessionId: string) => string {
  const places = new Map<string, { readonly prefix: string; last: number }>();
  return (sessionId) => {
    let place = places.get(sessionId);
    if (place === undefined) {
      place = { prefix: `${newId()}-`, last: 0 };
      places.set(sessionId, place);
      forgetOldest(places, REMEMBERED_SESSIONS);
    }
    place.last += 1;
    return place.prefix + place.last;
  };
}

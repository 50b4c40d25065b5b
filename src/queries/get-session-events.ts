import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import { type CloudEvent, corruptEvent, decodeEvent, isEnvelope, type StoredEvent } from '../core/event.js';
import { sessionCorrupt, sessionNotFound } from '../core/refusals.js';
import { idSchema, validate, wholeNumber } from '../core/validate.js';

export interface GetSessionEventsInput {
  readonly sessionId: string;
  /** The position to begin after, as in `next`. Default 0: with the first event. */
  readonly after?: number | undefined;
  /** 1 to 1,000. Default 100. When events are large, a page may have fewer and still not be the last. */
  readonly limit?: number | undefined;
}

export interface EventPage {
  readonly events: readonly CloudEvent[];
  /** The `after` of the next page; undefined when this one has the last event. */
  readonly next: number | undefined;
}

/** @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_CORRUPT`, `STORE_UNAVAILABLE`. */
export type GetSessionEvents = (input: GetSessionEventsInput) => Promise<EventPage>;

const MAX_PAGE_BYTES = 4_194_304;

export const getSessionEventsSchema = z.strictObject({
  sessionId: idSchema,
  after: z.optional(wholeNumber(0)),
  limit: z.optional(wholeNumber(1, 1_000)),
});

export function createGetSessionEvents({
  repository,
}: {
  readonly repository: SessionRepository;
}): GetSessionEvents {
  return async (input) => {
    const {
      sessionId,
      after = 0,
      limit = 100,
    } = validate(getSessionEventsSchema, input, 'The range of events');
    const session = await repository.ask(sessionId, (store) => store.get(sessionId));
    if (session === undefined) throw sessionNotFound(sessionId);
    const range = { after, limit, maxBytes: MAX_PAGE_BYTES };
    const stored = await repository.ask(sessionId, (store) => store.read(sessionId, range));
    if (stored.length === 0 && after < session.events) throw sessionCorrupt(sessionId, session.events, after);
    const last = stored.at(-1)?.sequence ?? after;
    return {
      events: stored.map((event) => decoded(sessionId, event)),
      next: last < session.events ? last : undefined,
    };
  };
}

function decoded(sessionId: string, event: StoredEvent): CloudEvent {
  if (!isEnvelope(event.utf8 ?? event.json)) throw corruptEvent(sessionId, event.sequence);
  try {
    return decodeEvent(event);
  } catch (error) {
    throw corruptEvent(sessionId, event.sequence, error);
  }
}

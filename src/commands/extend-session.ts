import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import { sessionNotFound, sessionNotOpen } from '../core/refusals.js';
import { durationMs, idSchema, validate } from '../core/validate.js';

export interface ExtendSessionInput {
  readonly sessionId: string;
  /** Milliseconds from now until the session expires. Default: the `ttl` it was started with. */
  readonly ttl?: number | undefined;
}

export interface ExtendReceipt {
  readonly sessionId: string;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly expiresAt: number;
}

/**
 * Renews the time to live of an open session without adding anything. Never deferred: during an outage, contingency
 * records keep a session alive.
 *
 * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN`, `STORE_UNAVAILABLE`.
 */
export type ExtendSession = (input: ExtendSessionInput) => Promise<ExtendReceipt>;

export const extendSessionSchema = z.strictObject({ sessionId: idSchema, ttl: z.optional(durationMs()) });

export function createExtendSession({
  repository,
}: {
  readonly repository: SessionRepository;
}): ExtendSession {
  return async (input) => {
    const { sessionId, ttl } = validate(extendSessionSchema, input, 'The options of extend');
    const result = await repository.ask(sessionId, (store) => store.extend(sessionId, ttl));
    if (result.outcome === 'not_found') throw sessionNotFound(sessionId);
    if (result.outcome === 'not_open') throw sessionNotOpen(sessionId, result.status, 'be extended');
    return { sessionId, expiresAt: result.expiresAt };
  };
}

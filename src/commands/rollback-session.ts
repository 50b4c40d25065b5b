import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { DomainEvents } from '../core/domain-events.js';
import type { RollbackReceipt } from '../core/lifecycle.js';
import type { Metrics } from '../core/metrics.js';
import { sessionNotFound, sessionNotOpen } from '../core/refusals.js';
import { idSchema, plainText, validate } from '../core/validate.js';
import type { Logger } from '../ports/logger.js';

export interface RollbackSessionInput {
  readonly sessionId: string;
  /** Kept in the session's history. 1 to 1,000 characters, none of them a control character. */
  readonly reason?: string | undefined;
}

/**
 * Ends the session so that none of its events is ever published (G2). Repeating it returns the same receipt.
 *
 * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN` when its commit has begun or it has expired,
 * `STORE_UNAVAILABLE` (only without contingency), `CONTINGENCY_FAILED`.
 */
export type RollbackSession = (input: RollbackSessionInput) => Promise<RollbackReceipt>;

export interface RollbackSessionContext {
  readonly repository: SessionRepository;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly instanceId: string;
  readonly retentionMs: number;
}

export const rollbackSessionSchema = z.strictObject({
  sessionId: idSchema,
  reason: z.optional(plainText(1_000)),
});

export function createRollbackSession(context: RollbackSessionContext): RollbackSession {
  const { repository, events, metrics, logger, instanceId, retentionMs } = context;

  return async (input) => {
    const { sessionId, reason } = validate(rollbackSessionSchema, input, 'The options of rollback');
    const result = await repository.rollback(sessionId, {
      retentionMs,
      cause: { instance: instanceId, reason },
    });
    if (result.outcome === 'not_found') throw sessionNotFound(sessionId);
    if (result.outcome === 'not_open') throw sessionNotOpen(sessionId, result.status, 'be rolled back');

    const { discarded, repeated } = result;
    const deferred = result.outcome === 'deferred';
    if (!repeated) {
      metrics.sessionRolledBack();
      events.emit('session.rolled_back', { sessionId, discarded, deferred, reason });
      logger.info('Session rolled back', { sessionId, discarded, deferred });
    }
    return { sessionId, status: 'rolled_back', discarded, deferred };
  };
}

import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { HistoryEntry, SessionStatus } from '../core/lifecycle.js';
import { sessionNotFound } from '../core/refusals.js';
import { idSchema, validate } from '../core/validate.js';

/** A session as the store has it. Times are in milliseconds since the epoch, by the store's clock. */
export interface SessionStatusView {
  readonly sessionId: string;
  readonly status: SessionStatus;
  /** Events in the session. */
  readonly events: number;
  /** Events that the broker has acknowledged. */
  readonly published: number;
  /** Events that the commit has left to the contingency log. Stays as it is when recovery has published them. */
  readonly deferred: number;
  readonly createdAt: number;
  /** When an open session expires, or an ended one vanishes. Undefined while `committing`. */
  readonly expiresAt: number | undefined;
  /** While `committing`: when another attempt may take over. */
  readonly leaseExpiresAt: number | undefined;
  /** Commit attempts so far. */
  readonly epoch: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Changes of status, oldest first. When they get too many, takeovers of a commit are left out. */
  readonly history: readonly HistoryEntry[];
}

/** @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `STORE_UNAVAILABLE`. */
export type GetSessionStatus = (input: { readonly sessionId: string }) => Promise<SessionStatusView>;

const inputSchema = z.strictObject({ sessionId: idSchema });

export function createGetSessionStatus({
  repository,
}: {
  readonly repository: SessionRepository;
}): GetSessionStatus {
  return async (input) => {
    const { sessionId } = validate(inputSchema, input, 'getSessionStatus');
    const session = await repository.ask(sessionId, (store) => store.get(sessionId));
    if (session === undefined) throw sessionNotFound(sessionId);
    const { status, events, cursor, deferred, createdAt, expiresAt, leaseExpiresAt, epoch, history } =
      session;
    return {
      sessionId,
      status,
      events,
      published: cursor - deferred,
      deferred,
      createdAt,
      expiresAt,
      leaseExpiresAt,
      epoch,
      metadata: JSON.parse(session.metadata),
      history,
    };
  };
}

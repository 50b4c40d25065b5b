import type { StartSessionInput } from './commands/start-session.js';
import type { Catalogue } from './core/catalogue.js';
import { isEventSessionsError, messageOf } from './core/errors.js';
import type { CommitReceipt } from './core/lifecycle.js';
import { functionOf, validate } from './core/validate.js';
import type { Logger } from './ports/logger.js';
import type { Session } from './session.js';

export interface TransactionResult<R> {
  /** What `work` returned. */
  readonly result: R;
  readonly receipt: CommitReceipt;
}

const workSchema = functionOf('the work, a function (session) => result');

export function createTransaction<C extends Catalogue>(
  startSession: (input?: StartSessionInput) => Promise<Session<C>>,
  logger: Logger,
) {
  return async <R>(
    work: (session: Session<C>) => Promise<R> | R,
    options?: StartSessionInput,
  ): Promise<TransactionResult<R>> => {
    validate(workSchema, work, 'transaction');
    const session = await startSession(options);
    try {
      const result = await work(session);
      return { result, receipt: await session.commit() };
    } catch (error) {
      await rollBack(session, error);
      throw error;
    }
  };

  /** The first error is the one to know; what the rollback says is only logged. */
  async function rollBack(session: Session<C>, error: unknown): Promise<void> {
    const reason = `transaction failed: ${messageOf(error).replace(/\p{Cc}/gu, ' ')}`.slice(0, 1_000);
    try {
      await session.rollback({ reason });
    } catch (failure) {
      if (isEventSessionsError(failure, 'SESSION_NOT_OPEN')) return;
      logger.warn('A failed transaction could not be rolled back', {
        sessionId: session.id,
        cause: messageOf(failure),
      });
    }
  }
}

import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { ActiveStatus } from '../core/lifecycle.js';
import { validate, wholeNumber } from '../core/validate.js';
import type { SessionPage } from '../ports/session-store.js';

export interface ListSessionsInput {
  /** Default: both. Sessions that have ended are not listed. */
  readonly status?: ActiveStatus | undefined;
  /** The `cursor` of the previous page. */
  readonly cursor?: string | undefined;
  /** 1 to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

export type ListSessions = (input?: ListSessionsInput) => Promise<SessionPage>;

export const listSessionsSchema = z.strictObject({
  status: z.optional(z.enum(['open', 'committing'], { error: 'open or committing' })),
  cursor: z.optional(z.string({ error: 'the cursor of a page before' })),
  limit: z.optional(wholeNumber(1, 1_000)),
});

export function createListSessions({ repository }: { readonly repository: SessionRepository }): ListSessions {
  return async (input = {}) => {
    const { status, cursor, limit = 100 } = validate(listSessionsSchema, input, 'listSessions');
    return repository.ask(undefined, (store) => store.list({ status, cursor, limit }));
  };
}

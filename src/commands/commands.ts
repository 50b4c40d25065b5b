import type { AddEvents } from './add-events.js';
import type { CommitSession } from './commit-session.js';
import type { ExtendSession } from './extend-session.js';
import type { RollbackSession } from './rollback-session.js';
import type { StartSession } from './start-session.js';

/** What changes sessions: plain objects in, receipts out. */
export interface Commands {
  readonly startSession: StartSession;
  readonly addEvents: AddEvents;
  readonly commitSession: CommitSession;
  readonly rollbackSession: RollbackSession;
  readonly extendSession: ExtendSession;
}

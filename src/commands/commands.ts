import type { Catalogue } from '../core/catalogue.js';
import type { AddEvents, AddEventsInput } from './add-events.js';
import type { CommitSession } from './commit-session.js';
import type { ExtendSession } from './extend-session.js';
import type { RollbackSession } from './rollback-session.js';
import type { StartSession } from './start-session.js';

/** What changes sessions: plain objects in, receipts out. */
export interface Commands<C extends Catalogue = Catalogue> {
  readonly startSession: StartSession;
  /** See {@link AddEvents}. A method, so that what knows its catalogue can be passed on to what knows none. */
  addEvents(input: AddEventsInput<C>): ReturnType<AddEvents>;
  readonly commitSession: CommitSession;
  readonly rollbackSession: RollbackSession;
  readonly extendSession: ExtendSession;
}

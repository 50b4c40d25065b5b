import type { Catalogue } from '../core/catalogue.js';
import type { AddEvents, AddEventsInput } from './add-events.js';
import type { CommitSession } from './commit-session.js';
import type { ExtendSession } from './extend-session.js';
import type { RollbackSession } from './rollback-session.js';
import type { StartSession } from './start-session.js';

/** What changes sessions: plain objects in, receipts out. Errors are those of the methods named here. */
export interface Commands<C extends Catalogue = Catalogue> {
  /** `sessions.startSession()`, with a receipt in place of the handle. */
  readonly startSession: StartSession;
  // A method, so that an instance with a catalogue can be passed where none is known.
  /** `session.addMany()`. */
  addEvents(input: AddEventsInput<C>): ReturnType<AddEvents>;
  /** `session.commit()`. */
  readonly commitSession: CommitSession;
  /** `session.rollback()`. */
  readonly rollbackSession: RollbackSession;
  /** `session.extend()`. */
  readonly extendSession: ExtendSession;
}

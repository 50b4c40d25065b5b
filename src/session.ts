import * as z from 'zod/mini';
import type { AddManyReceipt, AddReceipt } from './commands/add-events.js';
import type { Commands } from './commands/commands.js';
import type { CommitSessionInput } from './commands/commit-session.js';
import type { ExtendReceipt, ExtendSessionInput } from './commands/extend-session.js';
import type { RollbackSessionInput } from './commands/rollback-session.js';
import type { AddOptions, EventOf } from './core/accept-event.js';
import type { Catalogue, EventData, EventType } from './core/catalogue.js';
import { isEventSessionsError } from './core/errors.js';
import type { CommitReceipt, RollbackReceipt } from './core/lifecycle.js';
import { reading, validate } from './core/validate.js';
import type { EventPage, GetSessionEventsInput } from './queries/get-session-events.js';
import type { SessionStatusView } from './queries/get-session-status.js';
import type { Queries } from './queries/queries.js';

/**
 * A handle on a session: an id and the commands that go with it. It holds no state of the session, so any number of
 * handles, in any instances, can be used on one session.
 */
export interface Session<C extends Catalogue = Catalogue> extends AsyncDisposable {
  readonly id: string;
  /** When it resolves, the event will be published by the commit (G1), unless the receipt says `duplicate`. */
  add<T extends EventType<C>>(type: T, data: EventData<C, T>, options?: AddOptions): Promise<AddReceipt>;
  /** All of them or none, in this order. 1 to 10,000 at once: of none, `INVALID_INPUT`. */
  addMany(events: readonly EventOf<C>[]): Promise<AddManyReceipt>;
  commit(options?: Omit<CommitSessionInput, 'sessionId'>): Promise<CommitReceipt>;
  rollback(options?: Omit<RollbackSessionInput, 'sessionId'>): Promise<RollbackReceipt>;
  status(): Promise<SessionStatusView>;
  events(range?: Omit<GetSessionEventsInput, 'sessionId'>): Promise<EventPage>;
  /** Renews the time to live, or sets it to `ttl` milliseconds from now. */
  extend(options?: Omit<ExtendSessionInput, 'sessionId'>): Promise<ExtendReceipt>;
  /** For `await using`: rolls the session back if it is still open. */
  [Symbol.asyncDispose](): Promise<void>;
}

const ADD = 'The options of add';
const isObject = (value: unknown) => typeof value === 'object' && value !== null;
const objectSchema = z.custom<object>(isObject, { error: 'an object' });

/** Of a number, a flag or null nothing would be left, and nobody would know. */
function given<O extends object>(subject: string, options: O | undefined): O | undefined {
  if (options !== undefined && !isObject(options)) validate(objectSchema, options, subject);
  return options;
}

export function createSession<C extends Catalogue>(
  id: string,
  commands: Commands,
  queries: Queries,
): Session<C> {
  const withId = <O extends object>(subject: string, options: O | undefined) =>
    reading(subject, () => ({ ...(given(subject, options) as O), sessionId: id }));

  return {
    id,
    async add(type, data, options) {
      const event = reading(ADD, () => ({ ...given(ADD, options), type, data }));
      const { events } = await commands.addEvents({ sessionId: id, events: [event] });
      return events[0] as AddReceipt;
    },
    addMany: (events) => commands.addEvents({ sessionId: id, events }),
    commit: async (options) => commands.commitSession(withId('The options of commit', options)),
    rollback: async (options) => commands.rollbackSession(withId('The options of rollback', options)),
    status: () => queries.getSessionStatus({ sessionId: id }),
    events: async (range) => queries.getSessionEvents(withId('The range of events', range)),
    extend: async (options) => commands.extendSession(withId('The options of extend', options)),
    async [Symbol.asyncDispose]() {
      try {
        await commands.rollbackSession({ sessionId: id, reason: 'left its scope while open' });
      } catch (error) {
        if (
          !isEventSessionsError(error, 'SESSION_NOT_OPEN') &&
          !isEventSessionsError(error, 'SESSION_NOT_FOUND')
        )
          throw error;
      }
    },
  };
}

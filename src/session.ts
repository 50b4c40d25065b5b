import * as z from 'zod/mini';
import type { AddManyReceipt, AddReceipt } from './commands/add-events.js';
import type { Commands } from './commands/commands.js';
import { type CommitSessionInput, commitSessionSchema } from './commands/commit-session.js';
import {
  type ExtendReceipt,
  type ExtendSessionInput,
  extendSessionSchema,
} from './commands/extend-session.js';
import { type RollbackSessionInput, rollbackSessionSchema } from './commands/rollback-session.js';
import { type AddOptions, addOptionsSchema, type EventOf } from './core/accept-event.js';
import type { Catalogue, EventData, EventType } from './core/catalogue.js';
import { isEventSessionsError } from './core/errors.js';
import type { CommitReceipt, RollbackReceipt } from './core/lifecycle.js';
import { copyOf, reading, validate } from './core/validate.js';
import {
  type EventPage,
  type GetSessionEventsInput,
  getSessionEventsSchema,
} from './queries/get-session-events.js';
import type { SessionStatusView } from './queries/get-session-status.js';
import type { Queries } from './queries/queries.js';

/**
 * A handle on a session: its id, and the commands and queries that go with it. It holds no state of the session, so
 * there can be any number of handles on one session, in any instances.
 */
export interface Session<C extends Catalogue = Catalogue> extends AsyncDisposable {
  readonly id: string;
  /**
   * Adds an event. Once it resolves, the commit will publish the event (G1), unless the receipt says `duplicate`.
   *
   * @throws `INVALID_INPUT`, `INVALID_EVENT`, `UNKNOWN_EVENT_TYPE`, `INVALID_TOPIC`, `EVENT_TOO_LARGE`,
   * `SESSION_LIMIT_EXCEEDED`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN`, `STORE_UNAVAILABLE` (only without contingency),
   * `CONTINGENCY_FAILED`.
   */
  add<T extends EventType<C>>(type: T, data: EventData<C, T>, options?: AddOptions): Promise<AddReceipt>;
  /**
   * Adds 1 to 10,000 events, in this order: all of them or none.
   *
   * @throws The errors of `add`; their `index` is the position of the event that was refused.
   */
  addMany(events: readonly EventOf<C>[]): Promise<AddManyReceipt>;
  /**
   * Publishes all events of the session. Repeating it returns the first receipt.
   *
   * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN` when it was rolled back or has expired,
   * `COMMIT_IN_PROGRESS`, `EXPECTED_EVENTS_MISMATCH`, `SESSION_CORRUPT`, `STORE_UNAVAILABLE` and `PUBLISH_FAILED` (both
   * only without contingency), `CONTINGENCY_FAILED`, or the reason of the `signal`.
   */
  commit(options?: Omit<CommitSessionInput, 'sessionId'>): Promise<CommitReceipt>;
  /**
   * Ends the session so that none of its events is ever published (G2). Repeating it returns the same receipt.
   *
   * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN` when its commit has begun or it has expired,
   * `STORE_UNAVAILABLE` (only without contingency), `CONTINGENCY_FAILED`.
   */
  rollback(options?: Omit<RollbackSessionInput, 'sessionId'>): Promise<RollbackReceipt>;
  /** @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `STORE_UNAVAILABLE`. */
  status(): Promise<SessionStatusView>;
  /**
   * A page of its events, in order. It can be read in any status, until the session vanishes.
   *
   * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_CORRUPT`, `STORE_UNAVAILABLE`.
   */
  events(range?: Omit<GetSessionEventsInput, 'sessionId'>): Promise<EventPage>;
  /**
   * Renews the time to live of an open session, or sets it to `ttl` milliseconds from now.
   *
   * @throws `INVALID_INPUT`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN`, `STORE_UNAVAILABLE`.
   */
  extend(options?: Omit<ExtendSessionInput, 'sessionId'>): Promise<ExtendReceipt>;
  /** For `await using`: rolls the session back if it is still open. */
  [Symbol.asyncDispose](): Promise<void>;
}

const ADD = 'The options of add';
const isObject = (value: unknown) => typeof value === 'object' && value !== null;
const objectSchema = z.custom<object>(isObject, { error: 'an object' });

/** Spreading a number, a flag or null would silently give no options. */
function given<O extends object>(
  subject: string,
  schema: { readonly shape: object },
  options: O | undefined,
): O | undefined {
  if (options === undefined) return undefined;
  if (!isObject(options)) validate(objectSchema, options, subject);
  return copyOf(options, schema);
}

export function createSession<C extends Catalogue>(
  id: string,
  commands: Commands,
  queries: Queries,
): Session<C> {
  const withId = <O extends object>(
    subject: string,
    schema: { readonly shape: object },
    options: O | undefined,
  ) => reading(subject, () => ({ ...(given(subject, schema, options) as O), sessionId: id }));

  return {
    id,
    async add(type, data, options) {
      const event = reading(ADD, () => ({ ...given(ADD, addOptionsSchema, options), type, data }));
      const { events } = await commands.addEvents({ sessionId: id, events: [event] });
      return events[0] as AddReceipt;
    },
    addMany: (events) => commands.addEvents({ sessionId: id, events }),
    commit: async (options) =>
      commands.commitSession(withId('The options of commit', commitSessionSchema, options)),
    rollback: async (options) =>
      commands.rollbackSession(withId('The options of rollback', rollbackSessionSchema, options)),
    status: () => queries.getSessionStatus({ sessionId: id }),
    events: async (range) =>
      queries.getSessionEvents(withId('The range of events', getSessionEventsSchema, range)),
    extend: async (options) =>
      commands.extendSession(withId('The options of extend', extendSessionSchema, options)),
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

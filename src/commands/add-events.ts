import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { AcceptEvent, EventInput, EventOf } from '../core/accept-event.js';
import type { Catalogue } from '../core/catalogue.js';
import { counted } from '../core/counted.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError, isEventSessionsError } from '../core/errors.js';
import type { AcceptedEvent, TraceContext } from '../core/event.js';
import type { Metrics } from '../core/metrics.js';
import { sessionNotFound, sessionNotOpen } from '../core/refusals.js';
import { idSchema, isId, reading, validate } from '../core/validate.js';
import type { SessionLimits } from '../ports/session-store.js';

export interface AddEventsInput<C extends Catalogue = Catalogue> {
  readonly sessionId: string;
  /** 1 to 10,000 events. All of them are added, or none. */
  readonly events: readonly EventOf<C>[];
}

export interface AddReceipt {
  readonly sessionId: string;
  readonly eventId: string;
  /** True when the session already had an event with this id. That one stays; this one was not added. */
  readonly duplicate: boolean;
  /** True when the store was down: the event is in the contingency log. */
  readonly deferred: boolean;
}

export interface AddManyReceipt {
  readonly sessionId: string;
  /** One for each event, in the order given. */
  readonly events: readonly AddReceipt[];
  /** As in the receipts: an `addMany` is deferred as a whole. */
  readonly deferred: boolean;
}

/**
 * When it resolves, every event is in the store or in the contingency log (G1). When one of them is refused, the
 * error's `index` says which.
 *
 * @throws `INVALID_INPUT`, `INVALID_EVENT`, `UNKNOWN_EVENT_TYPE`, `INVALID_TOPIC`, `EVENT_TOO_LARGE`,
 * `SESSION_LIMIT_EXCEEDED`, `SESSION_NOT_FOUND`, `SESSION_NOT_OPEN`, `STORE_UNAVAILABLE`, `CONTINGENCY_FAILED`.
 */
export type AddEvents = (input: AddEventsInput) => Promise<AddManyReceipt>;

export interface AddEventsContext {
  readonly repository: SessionRepository;
  readonly accept: AcceptEvent;
  /** The trace of the call under way; undefined when there is no instrumentation. */
  readonly traceContext?: (() => TraceContext | undefined) | undefined;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly limits: SessionLimits;
}

/** A call is one script in Redis, which serves nobody else while it runs. */
export const MAX_EVENTS_PER_CALL = 10_000;

const eventsError = `an array of 1 to ${MAX_EVENTS_PER_CALL} events, each an object with type and data`;
const inputSchema = z.strictObject({
  sessionId: idSchema,
  events: z.custom<readonly EventInput[]>(isListOfEvents, { error: eventsError }),
});

function isListOfEvents(value: unknown): value is readonly EventInput[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_EVENTS_PER_CALL) return false;
  for (const event of value) if (typeof event !== 'object' || event === null) return false;
  return true;
}

/** Copies the array: with an async schema, the caller has time to change it. */
function checked(input: AddEventsInput): AddEventsInput {
  const { sessionId, events } = inOrder(input) ?? validate(inputSchema, input, 'The events to add');
  return { sessionId, events: [...events] };
}

/** The input, if the schema would pass it as it is: found out at a tenth of its cost. Undefined: ask the schema. */
function inOrder(input: AddEventsInput): AddEventsInput | undefined {
  if (typeof input !== 'object' || input === null) return undefined;
  for (const key in input) if (key !== 'sessionId' && key !== 'events') return undefined;
  const { sessionId, events } = input;
  const fits = typeof sessionId === 'string' && isId(sessionId) && isListOfEvents(events);
  return fits ? { sessionId, events } : undefined;
}

const NONE: ReadonlySet<number> = new Set();

export function createAddEvents(context: AddEventsContext): AddEvents {
  const { repository, accept, events: domainEvents, metrics, limits } = context;

  return async (input) => {
    const { sessionId, events } = reading('The events to add', () => checked(input));
    const trace = context.traceContext?.();
    const accepted = new Array<AcceptedEvent>(events.length);
    for (let index = 0; index < events.length; index += 1) {
      try {
        const one = accept(sessionId, events[index] as EventInput, trace);
        accepted[index] = one instanceof Promise ? await one : one;
      } catch (error) {
        throw isEventSessionsError(error) ? Object.assign(error, { index }) : error;
      }
    }

    const result = await repository.append(sessionId, accepted, limits);
    if (result.outcome === 'not_found') throw sessionNotFound(sessionId);
    if (result.outcome === 'not_open') throw sessionNotOpen(sessionId, result.status, 'take events');
    if (result.outcome === 'limit_exceeded') throw limitExceeded(sessionId, result.limit, limits);

    const deferred = result.outcome === 'deferred';
    const duplicates = result.duplicates.length === 0 ? NONE : new Set(result.duplicates);
    metrics.eventsAdded(accepted.length - duplicates.size);
    const isHeard = domainEvents.has('event.added');
    const receipts = new Array<AddReceipt>(accepted.length);
    for (let i = 0; i < accepted.length; i += 1) {
      const { id: eventId, topic } = accepted[i] as AcceptedEvent;
      const duplicate = duplicates.has(i);
      receipts[i] = { sessionId, eventId, duplicate, deferred };
      if (isHeard && !duplicate) domainEvents.emit('event.added', { sessionId, eventId, topic, deferred });
    }
    return { sessionId, events: receipts, deferred };
  };
}

function limitExceeded(
  sessionId: string,
  which: 'events' | 'bytes',
  limits: SessionLimits,
): EventSessionsError {
  const limit = which === 'events' ? limits.maxSessionEvents : limits.maxSessionBytes;
  const option = which === 'events' ? 'maxSessionEvents' : 'maxSessionBytes';
  const message =
    `Session ${sessionId} would have more than ${counted(limit, which === 'events' ? 'event' : 'byte')}. ` +
    `Commit it and go on in a new one, or raise limits.${option}`;
  return new EventSessionsError('SESSION_LIMIT_EXCEEDED', message, { sessionId, limit });
}

import { EventEmitter } from 'eventemitter3';
import * as z from 'zod/mini';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';
import { catchRejection, type EventSessionsErrorCode, messageOf } from './errors.js';
import type { MetricsSnapshot } from './metrics.js';
import { functionOf, validate } from './validate.js';

/** The fields of each type of domain event. Every event also has those of {@link DomainEventBase}. */
export interface DomainEventPayloads {
  'session.started': { readonly sessionId: string; readonly deferred: boolean };
  'event.added': {
    readonly sessionId: string;
    readonly eventId: string;
    readonly topic: string;
    readonly deferred: boolean;
  };
  /** A commit attempt has taken the lease. `cursor` is above 0 when it goes on where an earlier attempt stopped. */
  'session.committing': {
    readonly sessionId: string;
    readonly epoch: number;
    readonly events: number;
    readonly cursor: number;
  };
  /** The broker has acknowledged a batch, all of one topic. */
  'batch.published': {
    readonly sessionId: string;
    readonly topic: string;
    readonly events: number;
    readonly firstSequence: number;
    readonly lastSequence: number;
    readonly durationMs: number;
  };
  'session.committed': {
    readonly sessionId: string;
    readonly events: number;
    readonly published: number;
    readonly deferred: number;
    readonly durationMs: number;
  };
  'session.rolled_back': {
    readonly sessionId: string;
    readonly discarded: number;
    readonly deferred: boolean;
    readonly reason?: string | undefined;
  };
  /** An open session has expired: its events were not published. Emitted once, by the instance that found it. */
  'session.expired': { readonly sessionId: string; readonly discarded: number };
  /** Records were written to the contingency log, because the store or the broker was down. */
  'contingency.recorded': {
    readonly sessionId: string;
    readonly kind: ContingencyRecord['kind'];
    readonly records: number;
    /** Why the store or the broker could not take it. */
    readonly code: EventSessionsErrorCode;
  };
  /** Recovery has dealt with records of a session, and has published so many events of them. */
  'contingency.recovered': {
    readonly sessionId: string;
    readonly records: number;
    readonly published: number;
  };
  /** A record can never be replayed. It is kept in quarantine. */
  'contingency.quarantined': { readonly sessionId?: string | undefined; readonly reason: string };
  /** The store has failed for the first time since it last worked. */
  'store.degraded': { readonly cause: string };
  /** The store works again. */
  'store.restored': { readonly downMs: number };
  /** The publisher has failed for the first time since it last worked. */
  'publisher.degraded': { readonly cause: string };
  /** The publisher works again. */
  'publisher.restored': { readonly downMs: number };
  /** Emitted at the interval of the option `metrics`. */
  'metrics.snapshot': MetricsSnapshot;
}

export type DomainEventType = keyof DomainEventPayloads;

export interface DomainEventBase<T extends DomainEventType> {
  readonly type: T;
  /** Milliseconds since the epoch, by this instance's clock. */
  readonly at: number;
  readonly instanceId: string;
}

/** An event of these types, told apart by `type`. Default: of any type. */
export type DomainEvent<T extends DomainEventType = DomainEventType> = {
  [K in T]: DomainEventBase<K> & DomainEventPayloads[K];
}[T];

/** A type of domain event, or `*` for all of them. */
export type DomainEventPattern = DomainEventType | '*';

/** Called for each event. It may be async; an error that it throws or rejects with is logged and goes no further. */
export type DomainEventListener<T extends DomainEventPattern> = (
  event: DomainEvent<T extends '*' ? DomainEventType : Extract<T, DomainEventType>>,
) => unknown;

export interface DomainEvents {
  /** @throws `INVALID_INPUT` for an unknown type or a listener that is not a function; so do `once` and `off`. */
  on<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  once<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  off<T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void;
  /**
   * Calls the listeners of the type and then those of `*`, in the order in which they were added, all with the same
   * frozen event. Never throws.
   */
  emit<T extends DomainEventType>(type: T, payload: DomainEventPayloads[T]): void;
  /** Whether anybody listens: spares making events that nobody gets. */
  has(type: DomainEventType): boolean;
}

/** Every type there is. */
export const DOMAIN_EVENT_TYPES = Object.keys({
  'session.started': true,
  'event.added': true,
  'session.committing': true,
  'batch.published': true,
  'session.committed': true,
  'session.rolled_back': true,
  'session.expired': true,
  'contingency.recorded': true,
  'contingency.recovered': true,
  'contingency.quarantined': true,
  'store.degraded': true,
  'store.restored': true,
  'publisher.degraded': true,
  'publisher.restored': true,
  'metrics.snapshot': true,
} satisfies Record<DomainEventType, true>) as readonly DomainEventType[];
const patternSchema = z.enum(['*', ...DOMAIN_EVENT_TYPES], {
  error: `one of ${DOMAIN_EVENT_TYPES.join(', ')}, or * for all`,
});
const listenerSchema = functionOf<DomainEventListener<'*'>>('a function');

type Guarded = (event: DomainEventBase<DomainEventType> & { readonly sessionId?: string }) => void;

export function createDomainEvents(instanceId: string, logger: Logger): DomainEvents {
  const emitter = new EventEmitter<string>();
  const guards = new WeakMap<object, Guarded>();

  /** eventemitter3 lets a listener's error through to `emit`, past the listeners behind it. */
  function guard<T extends DomainEventPattern>(listener: DomainEventListener<T>): Guarded {
    const known = guards.get(listener);
    if (known !== undefined) return known;
    const guarded: Guarded = (event) => {
      const failed = (error: unknown) => {
        const { type, sessionId } = event;
        logger.error('A listener of a domain event failed', { type, sessionId, cause: messageOf(error) });
      };
      try {
        catchRejection(listener(event as Parameters<typeof listener>[0]), failed);
      } catch (error) {
        failed(error);
      }
    };
    guards.set(listener, guarded);
    return guarded;
  }

  const checked =
    (act: 'on' | 'once' | 'off') =>
    <T extends DomainEventPattern>(type: T, listener: DomainEventListener<T>): void => {
      validate(patternSchema, type, `The type of ${act}`);
      validate(listenerSchema, listener, `The listener of ${act}`);
      emitter[act](type, guard(listener));
    };

  const has = (type: DomainEventType) => emitter.listenerCount(type) + emitter.listenerCount('*') > 0;

  return {
    on: checked('on'),
    once: checked('once'),
    off: checked('off'),
    emit: (type, payload) => {
      if (!has(type)) return;
      const event = Object.freeze({ ...payload, type, at: Date.now(), instanceId });
      emitter.emit(type, event);
      emitter.emit('*', event);
    },
    has,
  };
}

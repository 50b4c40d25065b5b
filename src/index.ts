/**
 * Transactional sessions for events: add events over many calls, requests and instances; publish all of them on
 * commit, none on rollback; lose none when Redis or the broker is down.
 *
 * ```ts
 * import { createEventSessions } from 'event-sessions';
 *
 * const sessions = createEventSessions();
 * const session = await sessions.startSession();
 * await session.add('order.placed', { orderId: 'o-1', total: 42 });
 * const receipt = await session.commit();
 * console.log(receipt.published); // 1
 * await sessions.close();
 * ```
 *
 * @module
 */
/** The interface of the schemas in a catalogue. Those of zod, valibot and ArkType have it; yours may, too. */
export type { StandardSchemaV1 } from '@standard-schema/spec';
export {
  type MemoryContingency,
  type MemoryContingencyOptions,
  memoryContingency,
} from './adapters/memory/memory-contingency.js';
export {
  type MemoryPublisher,
  type MemoryPublisherOptions,
  memoryPublisher,
  type PublishedEvent,
} from './adapters/memory/memory-publisher.js';
export { type MemoryStoreOptions, memoryStore } from './adapters/memory/memory-store.js';
export type { AddEventsInput, AddManyReceipt, AddReceipt } from './commands/add-events.js';
export type { Commands } from './commands/commands.js';
export type { CommitSessionInput } from './commands/commit-session.js';
export type { ExtendReceipt, ExtendSessionInput } from './commands/extend-session.js';
export type { RollbackSessionInput } from './commands/rollback-session.js';
export type { StartReceipt, StartSessionInput } from './commands/start-session.js';
export type { RecoverOptions, RecoveryProgress, RecoveryReport } from './contingency/recovery-pass.js';
export type { AddOptions, EventInput, EventOf, TopicRule } from './core/accept-event.js';
export type { Catalogue, CatalogueEntry, EventData, EventType } from './core/catalogue.js';
export { type Codec, cloudEvents, json } from './core/codecs.js';
export type {
  DomainEvent,
  DomainEventListener,
  DomainEventPattern,
  DomainEventPayloads,
  DomainEventType,
} from './core/domain-events.js';
export {
  EventSessionsError,
  type EventSessionsErrorCode,
  type EventSessionsErrorFacts,
  type EventSessionsErrorOf,
  type FailureOutcome,
  type InputIssue,
  isEventSessionsError,
} from './core/errors.js';
export type { AcceptedEvent, CloudEvent, ExtensionValue, StoredEvent, TraceContext } from './core/event.js';
export type {
  ActiveStatus,
  Cause,
  CommitReceipt,
  HistoryEntry,
  RollbackReceipt,
  SessionStatus,
} from './core/lifecycle.js';
export type { FailureCode, FailureEntry, MetricsSnapshot } from './core/metrics.js';
export { type PinoLike, pinoLogger } from './core/safe-logger.js';
export { createEventSessions } from './create-event-sessions.js';
export type { EventSessions } from './event-sessions.js';
export type { ComponentHealth, Health } from './health.js';
export type { CommitOptions, EventSessionsOptions, LimitOptions } from './options.js';
export type * from './ports/contingency-log.js';
export type * from './ports/event-publisher.js';
export type * from './ports/instrumentation.js';
export type * from './ports/logger.js';
export type * from './ports/session-store.js';
export type { EventPage, GetSessionEventsInput } from './queries/get-session-events.js';
export type { SessionStatusView } from './queries/get-session-status.js';
export type { ListSessionsInput } from './queries/list-sessions.js';
export type { Queries } from './queries/queries.js';
export type { Session } from './session.js';
export type { TransactionResult } from './transaction.js';

import type { Utf8Range } from '../core/event.js';

/**
 * Where commands and events go that were accepted while the store or the broker could not take them: an append-only log
 * on something that fails independently of both, as a rule the local disk.
 *
 * The rules for an implementation:
 *
 * - **Durable.** `append` resolves only when the records would survive the death of the process (and, with fsync, of
 *   the machine). All of them or none count as appended; on failure it rejects with an `EventSessionsError` of code
 *   `CONTINGENCY_FAILED`.
 * - **In order.** Records come back in the order in which their appends resolved; those of one append stay together.
 *   A record may come back twice (replaying is idempotent), but none may be missing. Records of an append that rejected
 *   may come back, too, if all of it had been written.
 * - **Bounded.** A full log rejects appends; it never drops what it has.
 * - **Sealing.** Recovery works on a sealed part while appends go on after it. Only one recovery at a time, of all
 *   processes, has a sealed part; if it dies, everything that it has not settled is there for the next one.
 * - **Closing** waits for appends under way and releases a sealed part that has not been released. Afterwards every
 *   call but `close` rejects with `CLOSED`.
 */
export interface ContingencyLog {
  /** Appends the records, durably: all of them or none. Appending none changes nothing. */
  append(records: readonly ContingencyRecord[]): Promise<void>;

  /**
   * Sets apart for recovery all records that were appended so far and all that earlier recoveries have not settled.
   * Resolves with `empty` if there are none, with `busy` if another recovery is at work on them.
   */
  seal(): Promise<SealedRecords | 'empty' | 'busy'>;

  /** What waits for recovery, sealed or not. An estimate when other processes write to the same log. */
  backlog(): Promise<ContingencyBacklog>;

  /** Resolves if the log would take a record now. */
  ping(): Promise<void>;

  /** Can be repeated. */
  close(): Promise<void>;
}

/**
 * A part of the log that one recovery works on, piece by piece: it may be much larger than memory. The recovery must
 * end it with `release`; afterwards every other call rejects with `CONTINGENCY_FAILED`.
 */
export interface SealedRecords {
  /**
   * All entries that are not settled, in order, some at a time. Each call begins with the first one again. A line that
   * cannot be read comes as an `unreadable` entry, and hides no other.
   */
  read(): AsyncIterable<readonly SealedEntry[]>;

  /**
   * The records at these places, in the order asked for: the first of them, as many as take at most `maxBytes` as they
   * are stored, but at least one. The places must be those of a `read` that went to its end.
   */
  fetch(places: readonly number[], maxBytes: number): Promise<readonly ContingencyRecord[]>;

  /**
   * Marks entries as done. Once it resolves, they never come back, even if the process dies. If it rejects (a full
   * disk), they do not come back as long as this log lives. May be called during a `read`, for entries that have come
   * by then.
   */
  settle(places: readonly number[]): Promise<void>;

  /** Keeps the entries for a person to look at, then settles their places. */
  quarantine(entries: readonly (QuarantinedEntry & { readonly place: number })[]): Promise<void>;

  /** Ends this recovery. What is not settled stays for the next one, before what was appended meanwhile. */
  release(): Promise<void>;
}

/** A record, or the text of a line that could not be read as one, and why not. */
export type SealedContent =
  | { readonly record: ContingencyRecord }
  | { readonly unreadable: string; readonly reason: string };

/** An entry, and its `place`, which stays the same as long as the part is sealed. */
export type SealedEntry = SealedContent & { readonly place: number };

/** Kept for a person to look at, with the reason why it can never be replayed. */
export type QuarantinedEntry = SealedContent & { readonly reason: string };

/** What waits for recovery. */
export interface ContingencyBacklog {
  readonly records: number;
  readonly bytes: number;
  /** `at` of the oldest record; undefined when there is none. */
  readonly oldestAt: number | undefined;
}

interface RecordBase {
  readonly sessionId: string;
  /** Milliseconds since the epoch, by the clock of the instance that recorded it. */
  readonly at: number;
}

/** The store could not take a start. */
export interface SessionStartedRecord extends RecordBase {
  readonly kind: 'session.started';
  /** JSON text of an object. */
  readonly metadata: string;
  readonly ttlMs: number;
}
interface EventRecord extends RecordBase {
  readonly topic: string;
  /** The CloudEvents JSON without `sequence`. */
  readonly event: string;
  /** The same in UTF-8, if the log has read it as bytes; `event` may then be decoded only when it is asked for. */
  readonly utf8?: Utf8Range | undefined;
}

/** The store could not take an event. */
export interface EventAddedRecord extends EventRecord {
  readonly kind: 'event.added';
}
/** The store could not take a commit. */
export interface CommitRequestedRecord extends RecordBase {
  readonly kind: 'session.commit_requested';
  /** The attempt that was given up with this record. Recovery takes it up by this id, without waiting for its lease. */
  readonly attemptId: string;
  /** The attempt was granted: what it had in flight when it lost the store may be published twice. */
  readonly begun?: true | undefined;
  readonly expectedEvents?: number | undefined;
}
/** The store could not take a rollback. */
export interface RollbackRequestedRecord extends RecordBase {
  readonly kind: 'session.rollback_requested';
  readonly reason?: string | undefined;
}
/** The broker could not take an event of a session that is being committed. */
export interface EventUnpublishedRecord extends EventRecord {
  readonly kind: 'event.unpublished';
  readonly sequence: number;
  /**
   * How the last attempt to publish it ended: after `unknown` a consumer may get it twice. Missing when there was no
   * attempt, or it certainly had no effect.
   */
  readonly outcome?: 'unknown' | 'refused' | undefined;
}

export type ContingencyRecord =
  | SessionStartedRecord
  | EventAddedRecord
  | CommitRequestedRecord
  | RollbackRequestedRecord
  | EventUnpublishedRecord;

import type { Utf8Range } from '../core/event.js';

/**
 * Where accepted things go when the store or the broker cannot take them: an append-only log on something that fails
 * independently of both, as a rule the local disk.
 *
 * The rules for an implementation:
 *
 * - **Durable.** `append` resolves only when the records would survive the death of the process (and, with fsync, of
 *   the machine). All of them or none count as appended; on failure it rejects with an `EventSessionsError` of code
 *   `CONTINGENCY_FAILED`.
 * - **In order.** Records come back in the order in which their appends resolved; those of one append stay together.
 *   A record may come back twice (replaying is idempotent), never not at all. An append that rejected after its bytes
 *   were written whole may come back as well.
 * - **Bounded.** A full log rejects; it never drops what it has.
 * - **Sealing.** Recovery works on a sealed part while appends go on behind it. A sealed part belongs to one
 *   recovery at a time, over all processes; if that one dies, all that it has not settled is there for the next.
 * - **Closing** waits for appends under way and releases a sealed part that nobody has released. Afterwards every
 *   call but `close` rejects with `CLOSED`.
 */
export interface ContingencyLog {
  append(records: readonly ContingencyRecord[]): Promise<void>;

  /**
   * Sets all records appended so far apart for recovery, together with what earlier recoveries have not settled.
   * `empty` if there is nothing, `busy` if another recovery is at work on it.
   */
  seal(): Promise<SealedRecords | 'empty' | 'busy'>;

  /** What waits for recovery, sealed or not. An estimate when other processes write to the same log. */
  backlog(): Promise<ContingencyBacklog>;

  /** Resolves if the log would take a record now. */
  ping(): Promise<void>;

  close(): Promise<void>;
}

/**
 * A part of the log that one recovery works on, piece by piece: it may be much larger than memory. It must end with
 * `release`; after that every other call rejects with `CONTINGENCY_FAILED`.
 */
export interface SealedRecords {
  /**
   * All that is not settled, from the first record on, as often as asked: in order, some entries at a time. A line that
   * cannot be read comes as such, and hides no other.
   */
  read(): AsyncIterable<readonly SealedEntry[]>;

  /**
   * The records at places of a `read` that went to its end, in the order asked for: a beginning of them, of at most
   * `maxBytes` as they are stored, but at least one.
   */
  fetch(places: readonly number[], maxBytes: number): Promise<readonly ContingencyRecord[]>;

  /**
   * Done: when it resolves, what stands at these places does not come back, whatever dies then. When it rejects (a
   * full disk), it does not come back as long as this log lives. Also while a `read` goes on, of what has come by then.
   */
  settle(places: readonly number[]): Promise<void>;

  /** Keeps the entries for a person to look at, and then settles their places. */
  quarantine(entries: readonly (QuarantinedEntry & { readonly place: number })[]): Promise<void>;

  /** The end. What is not settled stays for the next recovery, in front of what was appended meanwhile. */
  release(): Promise<void>;
}

export type SealedContent =
  | { readonly record: ContingencyRecord }
  | { readonly unreadable: string; readonly reason: string };

/** `place` stands for this entry as long as the part is sealed. */
export type SealedEntry = SealedContent & { readonly place: number };

/** Kept for a person to look at, with the reason why it can never be replayed. */
export type QuarantinedEntry = SealedContent & { readonly reason: string };

export interface ContingencyBacklog {
  readonly records: number;
  readonly bytes: number;
  /** Milliseconds since the epoch of the oldest record. */
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
  /** The same in UTF-8, if the log has read it as bytes; then `event` may become text only when it is asked for. */
  readonly utf8?: Utf8Range | undefined;
}

/** The store could not take an event. */
export interface EventAddedRecord extends EventRecord {
  readonly kind: 'event.added';
}
/** The store could not take a commit. */
export interface CommitRequestedRecord extends RecordBase {
  readonly kind: 'session.commit_requested';
  /** The attempt that has been given up with this record, so that recovery need not wait for its lease. */
  readonly attemptId: string;
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
   * What became of the last attempt to publish it: after `unknown` it may come twice. Missing when it was never
   * attempted, or certainly not done.
   */
  readonly outcome?: 'unknown' | 'refused' | undefined;
}

export type ContingencyRecord =
  | SessionStartedRecord
  | EventAddedRecord
  | CommitRequestedRecord
  | RollbackRequestedRecord
  | EventUnpublishedRecord;

import { ignoringUntilAwaited } from '../core/errors.js';
import type { StoredEvent } from '../core/event.js';
import type {
  ContingencyRecord,
  EventAddedRecord,
  EventUnpublishedRecord,
} from '../ports/contingency-log.js';
import type { RecoveryPass } from './recovery-pass.js';
import { CHUNK_BYTES, CHUNK_RECORDS, type Chunk, type SealedWork } from './sealed-work.js';

const REFUSED = 'the broker refuses this event for good';

/** Counts: records that were settled or quarantined, and events that were published. */
export interface Recovered {
  readonly records: number;
  readonly published: number;
}

export const NOTHING: Recovered = { records: 0, published: 0 };

/** A session of which the broker is owed events, and what has been recovered of it. */
export interface OwingSession {
  readonly sessionId: string;
  /** Places of owed events that are to be published after those of other sessions. */
  readonly owedLast: readonly number[];
  recovered: Recovered;
}

/**
 * Publishes what the broker is owed while the log is being read: this needs no store, and nothing later in the log can
 * change it. While one chunk is being published, the next one is read; never two at once, so order holds.
 */
export interface OwedEvents {
  /** Whether an event of this session can be added before `send` is called. */
  hasRoomFor(session: OwingSession): boolean;
  add(session: OwingSession, record: EventUnpublishedRecord, place: number): void;
  /** Sends what was added. Resolves when the chunk before it has been dealt with. */
  send(): Promise<void>;
  /** Resolves when all that was sent has been dealt with. */
  sent(): Promise<void>;
}

export function owedEvents(pass: RecoveryPass, work: SealedWork): OwedEvents {
  let session: OwingSession | undefined;
  let places: number[] = [];
  let records: EventUnpublishedRecord[] = [];
  /** Memory that the records hold, not counting a buffer that is shared with the record before. */
  let bytes = 0;
  let last: ArrayBufferLike | undefined;
  let sending: Promise<void> = Promise.resolve();

  async function publish(to: OwingSession, chunk: Chunk): Promise<void> {
    addTo(to, await publishChunk(pass, work, to.sessionId, chunk, owedPlace(pass)));
  }

  return {
    hasRoomFor: (other) =>
      session === undefined || (session === other && records.length < CHUNK_RECORDS && bytes < CHUNK_BYTES),

    add(to, record, place) {
      session = to;
      places.push(place);
      records.push(record);
      const memory = record.utf8?.buffer.buffer;
      if (memory === undefined) bytes += record.event.length;
      else if (memory !== last) bytes += memory.byteLength;
      last = memory;
    },

    async send() {
      const [to, chunk] = [session, { places, records }];
      [session, places, records, bytes, last] = [undefined, [], [], 0, undefined];
      await sending;
      if (to !== undefined) sending = ignoringUntilAwaited(publish(to, chunk));
    },

    sent: () => sending,
  };
}

/** Publishes what the broker is owed of a session that comes last. */
export async function publishOwedLast(
  pass: RecoveryPass,
  work: SealedWork,
  { sessionId, owedLast }: OwingSession,
): Promise<void> {
  for await (const chunk of work.chunks(owedLast)) {
    if (pass.broker.isDownFor(sessionId) || pass.closing.aborted) return;
    await publishChunk(pass, work, sessionId, chunk, owedPlace(pass));
  }
}

const owedPlace =
  ({ tally }: RecoveryPass) =>
  (record: OwedRecord): number => {
    const { outcome, sequence } = record as EventUnpublishedRecord;
    if (outcome === 'unknown') tally.duplicatesPossible += 1;
    return sequence;
  };

export function addTo(session: OwingSession, { records, published }: Recovered): void {
  const before = session.recovered;
  session.recovered = { records: before.records + records, published: before.published + published };
}

export type OwedRecord = EventAddedRecord | EventUnpublishedRecord;

/** Sends a chunk of one session to the broker, and settles or quarantines what the broker has decided on. */
export async function publishChunk(
  pass: RecoveryPass,
  work: SealedWork,
  sessionId: string,
  { places, records }: Chunk,
  /** Undefined for a record whose event was published with an earlier record. */
  sequenceOf: (record: OwedRecord) => number | undefined,
): Promise<Recovered> {
  const { processor, tally, broker, closing } = pass;
  if (broker.isDownFor(sessionId) || closing.aborted) return NOTHING;
  const owed: StoredEvent[] = [];
  /** For each place the event that is owed; undefined if it is a repetition. */
  const events = (records as readonly OwedRecord[]).map((record): StoredEvent | undefined => {
    const sequence = sequenceOf(record);
    if (sequence === undefined) return undefined;
    const stored = new OwedEvent(record, sequence);
    owed.push(stored);
    return stored;
  });
  const { left, refused } = await processor.publishOwed(sessionId, owed);
  const published = owed.length - left.length - refused.length;
  tally.published += published;
  const isRefused = new Set<StoredEvent | undefined>(refused);
  const isUndone = new Set<StoredEvent | undefined>([...left, ...refused]);
  const settled = places.filter((_, i) => !isUndone.has(events[i]));
  await work.settle(settled);
  const quarantined = await work.quarantine(
    places.flatMap((place, i) =>
      isRefused.has(events[i]) ? [{ place, record: records[i] as ContingencyRecord, reason: REFUSED }] : [],
    ),
  );
  if (left.length > 0) broker.failedAt(sessionId);
  else broker.tookAllOf(sessionId);
  return { records: settled.length + quarantined, published };
}

/** What the log has read as bytes is published as bytes. */
class OwedEvent implements StoredEvent {
  /** V8 throws the code that it has optimized for a class away when it finds no object of it alive. */
  static readonly kept = new OwedEvent({} as OwedRecord, 0);

  constructor(
    readonly record: OwedRecord,
    readonly sequence: number,
  ) {}

  get topic() {
    return this.record.topic;
  }
  get json() {
    return this.record.event;
  }
  get utf8() {
    return this.record.utf8;
  }
}

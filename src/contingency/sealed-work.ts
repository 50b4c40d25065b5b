import type { DomainEvents } from '../core/domain-events.js';
import { ignoringUntilAwaited, messageOf } from '../core/errors.js';
import { turns } from '../core/turns.js';
import type { ContingencyRecord, QuarantinedEntry, SealedRecords } from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';

/** Records and bytes of one chunk. A pass works on one chunk while it reads the next. */
export const CHUNK_RECORDS = 500;
export const CHUNK_BYTES = 4 * 1024 * 1024;

export interface Chunk {
  readonly places: readonly number[];
  /** One for each place. */
  readonly records: readonly ContingencyRecord[];
}

/** The sealed part of the log in one pass: reads it in chunks, and keeps count of what is found and done. */
export interface SealedWork {
  /** Records found so far. */
  readonly records: number;
  /** How many of them are settled or quarantined. */
  readonly done: number;
  found(records: number): void;
  /** The records at these places. While one chunk is worked on, the next one is read. */
  chunks(places: readonly number[]): AsyncGenerator<Chunk>;
  /**
   * Counts the places as done. They are marked in the log some hundred at a time, while the pass goes on; so if the
   * process dies, fewer than 4 × {@link CHUNK_RECORDS} come again.
   */
  settle(places: readonly number[]): Promise<void>;
  /** Returns how many were quarantined: all, or none if the log cannot take them. Then they stay in the log. */
  quarantine(entries: readonly (QuarantinedEntry & { readonly place: number })[]): Promise<number>;
  /** Marks the rest of what is done, and releases the part. */
  end(): Promise<void>;
}

export interface SealedWorkConfig {
  readonly sealed: SealedRecords;
  readonly events: DomainEvents;
  readonly logger: Logger;
  readonly onQuarantined: (entries: number) => void;
  readonly onProgress: () => void;
}

export function sealedWork(config: SealedWorkConfig): SealedWork {
  const { sealed, events, logger } = config;
  let records = 0;
  let done = 0;
  /** Places that are done and not yet marked in the log. */
  let unmarked: number[] = [];
  /** Writes to the log, one after the other. */
  const inTurn = turns();
  let warned = false;

  /** A log that can't take the marks (its disk is full) keeps them in memory: no reason to recover nothing at all. */
  async function mark(places: readonly number[]): Promise<void> {
    if (places.length === 0) return;
    try {
      await sealed.settle(places);
    } catch (error) {
      if (!warned) logger.warn('What is recovered could not be marked', { cause: messageOf(error) });
      warned = true;
    }
  }

  return {
    get records() {
      return records;
    },
    get done() {
      return done;
    },
    found(more) {
      records += more;
    },

    async *chunks(places) {
      const fetch = async (from: number): Promise<Chunk> => {
        const wanted = places.slice(from, from + CHUNK_RECORDS);
        const fetched = await sealed.fetch(wanted, CHUNK_BYTES);
        return { places: wanted.slice(0, fetched.length), records: fetched };
      };
      let from = 0;
      let next = from < places.length ? fetch(from) : undefined;
      try {
        while (next !== undefined) {
          const chunk = await next;
          from += chunk.places.length;
          next = from < places.length ? ignoringUntilAwaited(fetch(from)) : undefined;
          yield chunk;
        }
      } finally {
        // After stopping early the part is released, and must not be read any more then.
        await next?.catch(() => {});
      }
    },

    async settle(places) {
      if (places.length === 0) return;
      done += places.length;
      for (const place of places) unmarked.push(place);
      if (unmarked.length >= CHUNK_RECORDS) {
        const batch = unmarked;
        unmarked = [];
        const marksBefore = inTurn(async () => {});
        void inTurn(() => mark(batch));
        await marksBefore;
      }
      config.onProgress();
    },

    async quarantine(entries) {
      if (entries.length === 0) return 0;
      try {
        await inTurn(() => sealed.quarantine(entries));
      } catch (error) {
        logger.warn('Records could not be quarantined, and stay in the log', {
          records: entries.length,
          cause: messageOf(error),
        });
        return 0;
      }
      done += entries.length;
      config.onQuarantined(entries.length);
      for (const entry of entries) {
        const sessionId = 'record' in entry ? entry.record.sessionId : undefined;
        logger.error('A contingency record was quarantined', { sessionId, reason: entry.reason });
        events.emit('contingency.quarantined', { sessionId, reason: entry.reason });
      }
      config.onProgress();
      return entries.length;
    },

    async end() {
      await inTurn(() => mark(unmarked));
      await sealed.release();
    },
  };
}

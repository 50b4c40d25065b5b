import type { DomainEvents } from '../core/domain-events.js';
import { messageOf } from '../core/errors.js';
import type { ContingencyRecord, QuarantinedEntry, SealedRecords } from '../ports/contingency-log.js';
import type { Logger } from '../ports/logger.js';

/** Records and bytes of the log that a pass has in memory at once; also how much may come again if it dies. */
const CHUNK_RECORDS = 500;
const CHUNK_BYTES = 4 * 1024 * 1024;

export interface Chunk {
  readonly places: readonly number[];
  /** One for each place. */
  readonly records: readonly ContingencyRecord[];
}

/** The sealed part of the log under one pass: what it has, in chunks, and what of it is done. */
export interface SealedWork {
  /** Records in it, when the pass began. */
  readonly records: number;
  /** Of them neither settled nor quarantined. */
  readonly remaining: number;
  chunks(places: readonly number[]): AsyncGenerator<Chunk>;
  /** Done with. Made durable for some hundred at once. */
  settle(places: readonly number[]): Promise<void>;
  quarantine(entries: readonly (QuarantinedEntry & { readonly place: number })[]): Promise<void>;
  /** Makes durable what is done, and lets go of the part. */
  end(): Promise<void>;
}

export interface SealedWorkConfig {
  readonly sealed: SealedRecords;
  readonly records: number;
  readonly events: DomainEvents;
  readonly logger: Logger;
  readonly onQuarantined: (entries: number) => void;
  readonly onProgress: () => void;
}

export function sealedWork(config: SealedWorkConfig): SealedWork {
  const { sealed, records, events, logger } = config;
  let done: number[] = [];
  let remaining = records;
  let warned = false;

  /** A log that can't take the marks (its disk is full) keeps them in memory: no reason to recover nothing at all. */
  async function flush(): Promise<void> {
    const places = done;
    done = [];
    if (places.length === 0) return;
    try {
      await sealed.settle(places);
    } catch (error) {
      if (!warned) logger.warn('What is recovered could not be marked', { cause: messageOf(error) });
      warned = true;
    }
  }

  return {
    records,
    get remaining() {
      return remaining;
    },

    async *chunks(places) {
      for (let from = 0; from < places.length; ) {
        const wanted = places.slice(from, from + CHUNK_RECORDS);
        const fetched = await sealed.fetch(wanted, CHUNK_BYTES);
        yield { places: wanted.slice(0, fetched.length), records: fetched };
        from += fetched.length;
      }
    },

    async settle(places) {
      if (places.length === 0) return;
      remaining -= places.length;
      for (const place of places) done.push(place);
      if (done.length >= CHUNK_RECORDS) await flush();
      config.onProgress();
    },

    async quarantine(entries) {
      if (entries.length === 0) return;
      try {
        await sealed.quarantine(entries);
      } catch (error) {
        logger.warn('Records could not be quarantined, and stay in the log', {
          records: entries.length,
          cause: messageOf(error),
        });
        return;
      }
      remaining -= entries.length;
      config.onQuarantined(entries.length);
      for (const entry of entries) {
        const sessionId = 'record' in entry ? entry.record.sessionId : undefined;
        logger.error('A contingency record was quarantined', { sessionId, reason: entry.reason });
        events.emit('contingency.quarantined', { sessionId, reason: entry.reason });
      }
      config.onProgress();
    },

    async end() {
      await flush();
      await sealed.release();
    },
  };
}

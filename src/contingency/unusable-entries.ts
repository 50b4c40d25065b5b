import type { QuarantinedEntry } from '../ports/contingency-log.js';
import { CHUNK_BYTES, type SealedWork } from './sealed-work.js';

/** Entries that are held until they go into quarantine together, unless they take too much of memory before. */
const GROUP = 100;

export type UnusableEntry = QuarantinedEntry & { readonly place: number };

/** What can never be replayed goes into quarantine while the log is read: a log may have nothing else in it. */
export interface UnusableEntries {
  add(entry: UnusableEntry): Promise<void>;
  /** Also those that are still held. */
  flush(): Promise<void>;
}

export function unusableEntries(work: Pick<SealedWork, 'quarantine'>): UnusableEntries {
  let entries: UnusableEntry[] = [];
  let characters = 0;
  /** A quarantine that has taken nothing is not asked again in this pass: what is for it stays in the log. */
  let refused = false;

  async function flush(): Promise<void> {
    const group = entries;
    [entries, characters] = [[], 0];
    if (group.length > 0) refused = (await work.quarantine(group)) === 0;
  }

  return {
    async add(entry) {
      if (refused) return;
      entries.push(entry);
      characters += charactersOf(entry);
      if (entries.length >= GROUP || characters >= CHUNK_BYTES) await flush();
    },
    flush,
  };
}

function charactersOf(entry: UnusableEntry): number {
  if ('unreadable' in entry) return entry.unreadable.length;
  return 'event' in entry.record ? entry.record.event.length : 0;
}

import { ignoringUntilAwaited } from '../core/errors.js';
import type { FailedPart } from './part-publisher.js';

/** A batch that was handed to the broker. */
export interface SentBatch {
  /** Sequence of its last event. */
  readonly end: number;
  /** Which parts of it have failed, when all have been answered. */
  readonly settled: Promise<readonly FailedPart[]>;
  /** Known at once, before `settled` tells: from then on nothing may be sent. */
  readonly failed: boolean;
}

export interface CommitWindowConfig {
  /** Batches whose cursor the store has not confirmed. */
  readonly size: number;
  /** Moves the cursor behind an event. Resolves with false if the store has not taken it. */
  readonly moveCursor: (end: number, deferred: number) => Promise<boolean>;
  /** Sees to it that a batch is published or deferred. Returns how many events were deferred; undefined to end. */
  readonly settleFailed: (failed: readonly FailedPart[]) => Promise<number | undefined>;
}

/**
 * The batches on their way to the broker, and the cursor on its way to the store behind those that were acknowledged.
 * A batch counts until the store has confirmed a cursor behind it: those may be published once more if the process dies.
 */
export interface CommitWindow {
  add(batch: SentBatch): void;
  /** Waits until another batch may be sent. False when the attempt has to end. */
  hasRoom(): Promise<boolean>;
  /** Waits until every batch is settled and the cursor is behind the last one. False when the attempt has to end. */
  settleAll(): Promise<boolean>;
  /** Waits for what is on its way, whatever becomes of it. */
  close(): Promise<void>;
}

export function createCommitWindow({ size, moveCursor, settleFailed }: CommitWindowConfig): CommitWindow {
  /** The oldest first. */
  const sent: SentBatch[] = [];
  /** The cursor on its way behind acknowledged batches, and how many those are. */
  let moving: { readonly moved: Promise<boolean>; readonly batches: number } | undefined;

  async function cursorMoved(): Promise<boolean> {
    const moved = await (moving?.moved ?? true);
    moving = undefined;
    return moved;
  }

  /**
   * Waits for the cursor, if it is on its way; else for the oldest `count` batches, and sends it on once for all of
   * them. False when the attempt has to end here.
   */
  async function settleOldest(count: number): Promise<boolean> {
    if (moving !== undefined || sent.length === 0) return cursorMoved();
    const oldest = sent.slice(0, count);
    for (const { settled } of oldest) if ((await settled).length > 0) break;
    const failed = oldest.findIndex(({ failed }) => failed);
    const published = sent.splice(0, failed === -1 ? count : failed);
    const last = published.at(-1);
    if (last === undefined) return settleAllOneByOne();
    moving = { moved: ignoringUntilAwaited(moveCursor(last.end, 0)), batches: published.length };
    return true;
  }

  /** Once the oldest has failed: nothing is sent until all that is in flight has been answered. */
  async function settleAllOneByOne(): Promise<boolean> {
    const batches = sent.splice(0);
    const failures = await Promise.all(batches.map(({ settled }) => settled));
    for (const [i, { end }] of batches.entries()) {
      const failed = failures[i] ?? [];
      const deferred = failed.length === 0 ? 0 : await settleFailed(failed);
      if (deferred === undefined) return false;
      if (!(await moveCursor(end, deferred))) return false;
    }
    return true;
  }

  const isFull = () => sent.length + (moving?.batches ?? 0) >= size || sent.some(({ failed }) => failed);

  return {
    add(batch) {
      sent.push(batch);
    },

    async hasRoom() {
      while (isFull()) {
        // Half of them: so the cursor moves once for several, and the broker still has something to do.
        if (!(await settleOldest(Math.ceil(sent.length / 2)))) return false;
      }
      return true;
    },

    async settleAll() {
      while (sent.length > 0 || moving !== undefined) {
        if (!(await settleOldest(sent.length))) return false;
      }
      return true;
    },

    async close() {
      await Promise.all(sent.map(({ settled }) => settled));
      await moving?.moved.catch(() => {});
    },
  };
}

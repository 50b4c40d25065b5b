import { EventSessionsError } from '../core/errors.js';
import { within } from '../core/within.js';
import type { ContingencyLog, ContingencyRecord } from '../ports/contingency-log.js';
import type { HeldRecords } from './held-records.js';
import type { KnownEnds } from './known-ends.js';
import { type ReplayContext, replayIntoStore } from './replay.js';
import type { StoreCall } from './store-call.js';

/**
 * Brings what is held of a session into the store. Commands that come meanwhile wait for the same healing. Undefined if
 * there is nothing to wait for. Rejects with `STORE_UNAVAILABLE` if the store is away, or the log has more of the
 * session than recovery could bring back by now.
 */
export type Healing = (sessionId: string) => Promise<Healed> | undefined;

/** `session_unknown`: what is held must wait until somebody has started the session. */
export type Healed = 'done' | 'session_unknown';

export interface HealingConfig {
  readonly log: ContingencyLog;
  readonly held: HeldRecords;
  readonly ends: KnownEnds;
  readonly callStore: StoreCall;
  /** Runs a recovery pass, for sessions of which the log has more than is held here. */
  readonly recover: () => Promise<unknown>;
  readonly replay: ReplayContext;
}

/** How long a command waits for recovery to bring its session back, before it is deferred behind it. */
const HEAL_WAIT_MS = 2_000;
/** What is replayed at once. */
const HEAL_RECORDS = 500;
const HEAL_CHARACTERS = 4 * 1_048_576;

export function createHealing({ log, held, ends, callStore, recover, replay }: HealingConfig): Healing {
  const healing = new Map<string, Promise<Healed>>();

  async function healNow(sessionId: string): Promise<Healed> {
    if (held.inherited) await takeOverLog(sessionId);
    return replayHeld(sessionId);
  }

  async function takeOverLog(sessionId: string): Promise<void> {
    const mark = held.mark();
    const backlog = await log.backlog().catch(() => undefined);
    // Not by its records: a count may be off while another process is at work on the log.
    if (backlog?.bytes === 0) {
      held.settle(mark, new Map());
      return;
    }
    await recoverWithin(sessionId);
    // Another process is at work on it, this one is closing, or it can't be read.
    if (held.inherited) throw stillInLog(sessionId);
  }

  /** One pass of recovery, or the one that is running. Whether it got everything done is for the caller to look at. */
  async function recoverWithin(sessionId: string): Promise<void> {
    const recovered = recover().catch(() => {});
    await within(HEAL_WAIT_MS, recovered).catch(() => {
      throw stillInLog(sessionId);
    });
  }

  async function replayHeld(sessionId: string): Promise<Healed> {
    for (let session = held.of(sessionId); session !== undefined; session = held.of(sessionId)) {
      if (session.records.length === 0) {
        // There is no point in reading the log for a store that is away.
        await callStore(sessionId, (target) => target.ping());
        await recoverWithin(sessionId);
        if (held.of(sessionId)?.spilled) throw stillInLog(sessionId);
        continue;
      }
      const batch = firstOf(session.records);
      const notReplayed = await callStore(sessionId, (target) => replayIntoStore(target, batch, replay));
      ends.replayed(batch, notReplayed);
      // What the store has no other place for is still in the log, for recovery to decide on.
      const early = new Set(
        notReplayed.flatMap(({ record, problem }) => (problem === 'session_unknown' ? [record] : [])),
      );
      held.drop(
        sessionId,
        batch.filter((record) => !early.has(record)),
      );
      if (early.size === batch.length) return 'session_unknown';
    }
    return 'done';
  }

  return (sessionId) => {
    if (!held.inherited && held.of(sessionId) === undefined) return undefined;
    const running = healing.get(sessionId);
    if (running !== undefined) return running;
    const heal = healNow(sessionId).finally(() => healing.delete(sessionId));
    healing.set(sessionId, heal);
    return heal;
  };
}

/** The first records, as many as are replayed at once. */
function firstOf(records: readonly ContingencyRecord[]): readonly ContingencyRecord[] {
  let characters = 0;
  const over = records.findIndex((record, i) => {
    characters += 'event' in record ? record.event.length : 0;
    return i > 0 && (i === HEAL_RECORDS || characters > HEAL_CHARACTERS);
  });
  return over === -1 ? records : records.slice(0, over);
}

function stillInLog(sessionId: string): EventSessionsError {
  const message = `Session ${sessionId} has records in the contingency log that are not back in the store yet`;
  return new EventSessionsError('STORE_UNAVAILABLE', message, { sessionId, outcome: 'not_done' });
}

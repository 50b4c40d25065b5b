import { catchRejection, messageOf } from '../core/errors.js';
import type { SealedRecords } from '../ports/contingency-log.js';
import type { HeldMark, WaitingSession } from './held-records.js';
import { passBroker } from './pass-broker.js';
import { owedEvents } from './publish-owed.js';
import { recoverInterrupted } from './recover-interrupted.js';
import { recoverSession, tellRecovered } from './recover-session.js';
import {
  isStoreAway,
  type RecoverOptions,
  type RecoveryConfig,
  type RecoveryPass,
  type RecoveryReport,
} from './recovery-pass.js';
import { type SealedWork, sealedWork } from './sealed-work.js';
import { backlogs } from './session-backlog.js';
import { unusableEntries } from './unusable-entries.js';

/**
 * One pass over everything that is owed: first the contingency log, then the sessions in the store that nobody looks
 * after any more. Safe to stop at any point and to run in several processes at once: the log lets one at a time in,
 * what is done is marked in it chunk by chunk, and what touches the store is idempotent.
 *
 * What the broker is owed needs no store. But when a pass has found the store away, and has left nothing to the broker,
 * the next ones ask the store first, and leave the log alone until it answers: reading it would be all that they do.
 */
export function createRecovery(
  config: RecoveryConfig,
  observed: (run: () => Promise<RecoveryReport>) => () => Promise<RecoveryReport>,
): (options?: RecoverOptions) => Promise<RecoveryReport> {
  const { log, held, logger, closing } = config;
  let running: Promise<RecoveryReport> | undefined;
  let listeners: NonNullable<RecoverOptions['onProgress']>[] = [];
  let awaitsStore = false;
  const failing = new Set<string>();

  const start = observed(async () => {
    const startedAt = performance.now();
    const tally = {
      sessions: 0,
      events: 0,
      published: 0,
      duplicatesPossible: 0,
      discarded: 0,
      quarantined: 0,
      corrupt: 0,
    };
    const down = { store: false };
    const broker = passBroker(failing);
    let work: SealedWork | undefined;
    const remaining = () => (work === undefined ? 0 : work.records - work.done);
    const progress = () => {
      const failed = (error: unknown) =>
        logger.error('onProgress of recover failed', { cause: messageOf(error) });
      for (const listener of listeners) {
        try {
          const progress = { ...tally, records: work?.records ?? 0, remaining: remaining() };
          catchRejection(listener(progress), failed);
        } catch (error) {
          failed(error);
        }
      }
    };
    const report = (complete: boolean, remaining: number): RecoveryReport => {
      return { ...tally, remaining, complete, durationMs: performance.now() - startedAt };
    };
    /** For a pass that has not read all of it. */
    const backlog = async () => (await log?.backlog())?.records ?? 0;
    if (awaitsStore && (await isStoreAway(config))) return report(false, await backlog());
    const pass: RecoveryPass = { ...config, tally, down, broker, failing, progress };

    const mark = held.mark();
    let sealed: SealedRecords | 'empty' | 'busy';
    try {
      sealed = (await log?.seal()) ?? 'empty';
      if (sealed === 'empty') held.settle(mark, new Map());
      else if (sealed !== 'busy') {
        await recoverLog(pass, sealed, mark, (started) => {
          work = started;
        });
      }
    } catch (error) {
      // What is interrupted needs no log to be finished; but what is overdue may have more in it.
      await recoverInterrupted(pass, false);
      throw error;
    }
    await recoverInterrupted(pass, true);
    const sawAll = sealed !== 'busy' && !closing.aborted;
    awaitsStore = sawAll && down.store && !broker.hasFailed;
    if (closing.aborted) return report(false, await backlog().catch(remaining));
    return report(sawAll && remaining() === 0 && !down.store && !broker.hasFailed, remaining());
  });

  return ({ onProgress } = {}) => {
    if (onProgress !== undefined) listeners.push(onProgress);
    running ??= start().finally(() => {
      running = undefined;
      listeners = [];
    });
    return running;
  };
}

async function recoverLog(
  pass: RecoveryPass,
  sealed: SealedRecords,
  mark: HeldMark,
  onStart: (work: SealedWork) => void,
): Promise<void> {
  const { held, events, logger, tally, failing, closing } = pass;
  const work = sealedWork({
    sealed,
    events,
    logger,
    onQuarantined: (entries) => {
      tally.quarantined += entries;
    },
    onProgress: pass.progress,
  });
  onStart(work);
  const { sessions, read } = backlogs({
    owed: owedEvents(pass, work),
    failing,
    work,
    unusable: unusableEntries(work),
    signal: closing,
  });
  try {
    await read(sealed.read());
    const waiting = new Map<string, WaitingSession>();
    const first = [...sessions.values()].filter(({ sessionId }) => !failing.has(sessionId));
    const last = [...failing].flatMap((sessionId) => sessions.get(sessionId) ?? []);
    for (const session of [...first, ...last]) {
      if (closing.aborted) return;
      const isBack = await recoverSession(pass, work, session);
      if (!isBack)
        waiting.set(session.sessionId, { records: session.forStore.length, end: session.end?.kind });
      tally.sessions += 1;
      pass.progress();
    }
    if (!closing.aborted) held.settle(mark, waiting);
  } finally {
    for (const session of sessions.values()) tellRecovered(pass, session);
    await work.end().catch((error) => {
      logger.error('The sealed part of the contingency log could not be cleared', {
        cause: messageOf(error),
      });
    });
  }
}

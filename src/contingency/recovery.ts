import { messageOf } from '../core/errors.js';
import type { ContingencyRecord, QuarantinedEntry, SealedRecords } from '../ports/contingency-log.js';
import type { HeldMark } from './held-records.js';
import { recoverInterrupted } from './recover-interrupted.js';
import { recoverSession } from './recover-session.js';
import type { RecoverOptions, RecoveryConfig, RecoveryPass, RecoveryReport } from './recovery-pass.js';

/**
 * One pass over everything that is owed: first the contingency log, then the sessions in the store that nobody looks
 * after any more. Safe to stop at any point and to run in several processes at once: the log lets one at a time in,
 * and what touches the store is idempotent.
 */
export function createRecovery(
  config: RecoveryConfig,
): (options?: RecoverOptions) => Promise<RecoveryReport> {
  const { log, held, logger } = config;
  let running: Promise<RecoveryReport> | undefined;

  async function run(onProgress: RecoverOptions['onProgress']): Promise<RecoveryReport> {
    const startedAt = performance.now();
    const tally = { sessions: 0, events: 0, published: 0, discarded: 0, quarantined: 0 };
    const down = { store: false, broker: false };
    const progress = () => {
      try {
        onProgress?.({ ...tally });
      } catch (error) {
        logger.error('onProgress of recover threw', { error });
      }
    };
    const pass: RecoveryPass = { ...config, tally, down, progress };

    const mark = held.mark();
    const sealed = await log?.seal();
    const remaining = sealed === undefined ? 0 : await recoverLog(pass, sealed, mark);
    await recoverInterrupted(pass);
    const complete = remaining === 0 && !down.store && !down.broker;
    return { ...tally, remaining, complete, durationMs: performance.now() - startedAt };
  }

  return ({ onProgress } = {}) => {
    running ??= run(onProgress).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** Answers how many records stay. */
async function recoverLog(pass: RecoveryPass, sealed: SealedRecords, mark: HeldMark): Promise<number> {
  const { held, events, logger, tally } = pass;
  try {
    const { sessions, unreadable } = await readSessions(sealed);
    const keep: ContingencyRecord[] = [];
    const quarantine: QuarantinedEntry[] = [...unreadable];
    const unfinished = new Set<string>();
    for (const [sessionId, records] of sessions) {
      const result = await recoverSession(pass, sessionId, records);
      keep.push(...result.keep);
      quarantine.push(...result.quarantine);
      if (result.keep.length > 0) unfinished.add(sessionId);
      tally.sessions += 1;
      pass.progress();
    }
    await sealed.finish({ keep, quarantine });
    tally.quarantined += quarantine.length;
    held.forget(mark, unfinished);
    for (const entry of quarantine) {
      const sessionId = 'record' in entry ? entry.record.sessionId : undefined;
      logger.error('A contingency record was quarantined', { sessionId, reason: entry.reason });
      events.emit('contingency.quarantined', { sessionId, reason: entry.reason });
    }
    return keep.length;
  } catch (error) {
    await sealed.release().catch((failure) => {
      logger.error('Sealed records could not be given back', { cause: messageOf(failure) });
    });
    throw error;
  }
}

async function readSessions(sealed: SealedRecords) {
  const sessions = new Map<string, ContingencyRecord[]>();
  const unreadable: QuarantinedEntry[] = [];
  for await (const entry of sealed.read()) {
    if ('record' in entry) {
      const known = sessions.get(entry.record.sessionId);
      if (known === undefined) sessions.set(entry.record.sessionId, [entry.record]);
      else known.push(entry.record);
    } else {
      unreadable.push(entry);
    }
  }
  return { sessions, unreadable };
}

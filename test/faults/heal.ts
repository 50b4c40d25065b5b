import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type EventPublisher,
  type EventSessions,
  isEventSessionsError,
  type SessionStatusView,
} from 'event-sessions';
import type { Redis } from 'ioredis';
import { eventIdOf } from '../../src/core/event.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';
import { endsPromised, rollbacksAskedFor } from '../campaign/ends.js';
import { type HistoryEntry, openHistory, readHistory } from '../campaign/history.js';
import type { FinalSession, Message, Observations, Quarantined } from '../campaign/observations.js';
import { createActor } from './actor.js';
import { type Case, fileOf, historyOf, LOG } from './case.js';
import { faultLine } from './fault-line.js';
import { redisBorder } from './redis-border.js';
import type { Actor } from './scenarios/stage.js';

export interface Surroundings {
  readonly redis: Redis;
  readonly publisher: EventPublisher;
  readonly drained: (prefix: string) => Promise<Message[]>;
}

/** Longer than any lease, and than recovery of a few records takes. What is not healed by then is reported by the checker. */
const PATIENCE_MS = 10_000;

/**
 * What comes after a fault: another instance recovers until nothing is left, a client ends what is still open (it asks
 * again for an end that it had asked for and not heard of), and everything that was published is read.
 */
export async function heal(job: Case, { redis, publisher, drained }: Surroundings): Promise<Observations> {
  buryTheDead(job);
  const healer = createActor({
    id: job.id,
    folder: job.folder,
    topics: job.topics,
    redis: redisBorder(redis, faultLine()),
    publisher,
    history: openHistory(historyOf(job.folder), 'healer'),
    phase: (_, work) => work(),
  });
  const { sessions } = healer;
  const ids = sessionsOf(readHistory(historyOf(job.folder)));
  const recoverAll = () => recoverUntilDone(healer, ids, `${fileOf(job.folder)}.lock`);

  await recoverAll();
  const recovered = await statuses(sessions, ids);
  const history = readHistory(historyOf(job.folder));
  const rolledBack = rollbacksAskedFor(history);
  const promised = endsPromised(history);
  const open = [...recovered].flatMap(([id, { status }]) => (status === 'open' ? [id] : []));
  for (const id of open) await (rolledBack.has(id) ? healer.rollback(id) : healer.commit(id));
  if (open.length > 0) await recoverAll();

  const final = new Map<string, FinalSession>();
  for (const [id, { status, events }] of await statuses(sessions, ids)) {
    // Of a session whose end was nobody's promise, it is fine that it had to be ended here.
    const statusAfterRecovery = promised.has(id) ? recovered.get(id)?.status : undefined;
    const eventIds = (await sessions.session(id).events({ limit: 1_000 })).events.map((event) => event.id);
    final.set(id, { status, statusAfterRecovery, events, eventIds });
  }
  const backlog = new Map([[LOG, await recordsLeft(sessions)]]);
  await healer.close();
  return { messages: await drained(job.id), sessions: final, quarantine: quarantineOf(job), backlog };
}

/** An instance that wrote no `ended` is gone without a word. */
function buryTheDead(job: Case): void {
  const history = readHistory(historyOf(job.folder));
  const ended = new Set(history.filter(({ kind }) => kind === 'ended').map(({ process }) => process));
  const witness = openHistory(historyOf(job.folder), 'witness');
  for (const { process, kind } of history) {
    if (kind === 'started' && !ended.has(process)) witness.write({ kind: 'died', victim: process });
  }
  witness.close();
}

async function recoverUntilDone(healer: Actor, ids: ReadonlySet<string>, lock: string): Promise<void> {
  const { sessions } = healer;
  const deadline = Date.now() + PATIENCE_MS;
  do {
    await healer.recover();
    const left = await recordsLeft(sessions);
    const views = [...(await statuses(sessions, ids)).values()];
    if (left === 0 && views.every(({ status }) => status !== 'committing')) return;
    if (left !== 0) letTimePass(lock);
    await sleep(10);
  } while (Date.now() < deadline);
}

async function recordsLeft(sessions: EventSessions): Promise<number> {
  return (await sessions.metrics()).contingency?.records ?? Number.NaN;
}

/** Makes a lock that stands in the way look old: one that could not be removed keeps others out for a while. */
function letTimePass(lock: string): void {
  try {
    utimesSync(lock, 1, 1);
  } catch {
    // There is none.
  }
}

/** Of those that the store has, and that do not wait for something in the log. */
async function statuses(
  sessions: EventSessions,
  ids: ReadonlySet<string>,
): Promise<Map<string, SessionStatusView>> {
  const views = new Map<string, SessionStatusView>();
  for (const id of ids) {
    try {
      views.set(id, await sessions.session(id).status());
    } catch (error) {
      const isMissing = (['SESSION_NOT_FOUND', 'STORE_UNAVAILABLE'] as const).some((code) =>
        isEventSessionsError(error, code),
      );
      if (!isMissing) throw error;
    }
  }
  return views;
}

function sessionsOf(history: readonly HistoryEntry[]): Set<string> {
  return new Set(history.flatMap((entry) => (entry.kind === 'invoke' ? [entry.sessionId] : [])));
}

function quarantineOf(job: Case): Quarantined[] {
  const path = `${fileOf(job.folder)}.quarantine.jsonl`;
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const entry = parsed(line);
      if (entry === undefined) return [];
      const { reason, record } = entry;
      if (record === undefined) return [{ log: LOG, reason }];
      const { kind, sessionId } = record;
      const eventId = 'event' in record ? eventIdOf(JSON.stringify(record.event)) : undefined;
      return [{ log: LOG, reason, record: { kind, sessionId, eventId } }];
    });
}

/** A crash may have torn the line that was being written; the record came back with the rest of its part. */
function parsed(line: string): { reason: string; record?: ContingencyRecord } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

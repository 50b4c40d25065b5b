import { setTimeout as sleep } from 'node:timers/promises';
import { type EventSessionsErrorCode, isEventSessionsError } from 'event-sessions';
import type { AddedEvent } from './history.js';
import type { Random } from './random.js';
import type { RecordedCommands } from './recording.js';
import { TOPICS, type Workload } from './settings.js';
import type { FromWorker } from './worker.js';

/** A program that uses the library as programs do: it tries again, it gives up, and others meddle with its sessions. */
export interface Client {
  start(): void;
  /** Does something to a session of another process. */
  visit(sessionId: string): void;
  /** Begins nothing new, and resolves when what has begun has ended. */
  stop(): Promise<void>;
  /** Begins nothing new. */
  abandon(): void;
}

export interface ClientConfig {
  readonly name: string;
  readonly commands: RecordedCommands;
  readonly random: Random;
  readonly workload: Workload;
  readonly tell: (message: FromWorker) => void;
}

/** Tries of a command that failed in a way that may pass. */
const TRIES = 8;
const MOST_VISITS = 6;

export function createClient({ name, commands, random, workload, tell }: ClientConfig): Client {
  const prefix = name.replace('.', '-');
  const underWay = new Set<Promise<void>>();
  let stopping = false;
  let sessions = 0;
  let events = 0;
  let operations = 0;
  let visits = 0;

  const pause = () => sleep(random.between(0, workload.pauseMs));

  /** Repeats what failed for a reason that may pass; undefined when it was refused, or given up. */
  async function insist<T>(call: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      operations += 1;
      try {
        return await call();
      } catch (error) {
        const passing = isEventSessionsError(error, 'CONTINGENCY_FAILED');
        if (!passing || random.chance(0.1)) return undefined;
        await sleep(random.between(20, 300));
      }
    }
    return undefined;
  }

  function newEvent(): AddedEvent {
    events += 1;
    const tag = `${prefix}-e${events}`;
    const topic = random.pick(TOPICS);
    return random.chance(0.7) ? { id: tag, tag, topic } : { tag, topic };
  }

  /** Adds one event or several; answers how many the session has more, or undefined if that is not known. */
  async function add(sessionId: string, most: number): Promise<number | undefined> {
    const batch = Array.from({ length: random.chance(0.6) ? 1 : random.between(1, most) }, newEvent);
    // Without an id of its own, an event that is added again is another one.
    const again = (event: AddedEvent) => (event.id === undefined ? { ...newEvent(), id: undefined } : event);
    let tries = 0;
    const receipt = await insist(() => {
      tries += 1;
      return commands.add(sessionId, tries === 1 ? batch : batch.map(again));
    });
    if (receipt === undefined) return undefined;
    if (random.chance(0.08) && batch.every(({ id }) => id !== undefined)) {
      // As a program does whose own caller has not heard the answer.
      await insist(() => commands.add(sessionId, batch));
    }
    return batch.length;
  }

  async function commit(sessionId: string, expectedEvents?: number): Promise<void> {
    let expected = expectedEvents;
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      operations += 1;
      try {
        const { status } = await commands.commit(sessionId, expected);
        if (status === 'committed') {
          if (random.chance(0.15)) await commands.commit(sessionId, expected);
          return;
        }
        if (random.chance(0.5)) return;
        await sleep(random.between(100, 600));
      } catch (error) {
        const code = codeOf(error);
        if (code === 'COMMIT_IN_PROGRESS') await sleep(random.between(50, 400));
        else if (code === 'CONTINGENCY_FAILED') await sleep(random.between(20, 300));
        else if (code === 'EXPECTED_EVENTS_MISMATCH') expected = undefined;
        else return;
      }
    }
  }

  const rollback = async (sessionId: string) => {
    await insist(() => commands.rollback(sessionId));
  };

  async function oneSession(): Promise<void> {
    sessions += 1;
    const sessionId = `${prefix}-s${sessions}`;
    const ttl = random.chance(workload.shortLived) ? random.between(1_000, 4_000) : undefined;
    const started = await insist(() =>
      commands.start(ttl === undefined ? { sessionId } : { sessionId, ttl }),
    );
    if (started === undefined) return;
    // Another host that comes before the log of this one has been recovered would not know the session.
    const shared = random.chance(started.deferred ? workload.shared / 4 : workload.shared);
    if (shared) tell({ kind: 'session', sessionId });

    const most = random.chance(workload.large) ? workload.largeEvents : random.between(0, workload.events);
    let added = 0;
    let sure = !shared;
    for (let failed = 0; added < most && failed < 2 && !stopping; ) {
      const more = await add(sessionId, Math.min(12, most - added));
      if (more === undefined) {
        failed += 1;
        sure = false;
      } else {
        added += more;
      }
      await pause();
    }
    if (ttl !== undefined || random.chance(workload.abandoned)) return;
    if (random.chance(workload.raced)) {
      await Promise.all([commit(sessionId), rollback(sessionId)]);
    } else if (random.chance(workload.rollback)) {
      await rollback(sessionId);
    } else {
      await commit(sessionId, sure && random.chance(workload.expecting) ? added : undefined);
    }
  }

  async function visitOne(sessionId: string): Promise<void> {
    await pause();
    for (let steps = random.between(1, 4); steps > 0 && !stopping; steps -= 1) {
      if ((await add(sessionId, 4)) === undefined) return;
      await pause();
    }
    if (random.chance(0.2)) await commit(sessionId);
    else if (random.chance(0.1)) await rollback(sessionId);
  }

  function track(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  }

  async function lane(): Promise<void> {
    while (!stopping) {
      await oneSession().catch(() => {});
      await pause();
    }
  }

  return {
    start() {
      for (let i = 0; i < workload.lanes; i += 1) track(lane());
      setInterval(() => tell({ kind: 'progress', operations, sessions }), 500).unref();
    },
    visit(sessionId) {
      if (stopping || visits >= MOST_VISITS) return;
      visits += 1;
      track(
        visitOne(sessionId).finally(() => {
          visits -= 1;
        }),
      );
    },
    async stop() {
      stopping = true;
      while (underWay.size > 0) await Promise.all(underWay);
    },
    abandon() {
      stopping = true;
    },
  };
}

function codeOf(error: unknown): EventSessionsErrorCode | undefined {
  return isEventSessionsError(error) ? error.code : undefined;
}

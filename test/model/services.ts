import {
  createEventSessions,
  EventSessionsError,
  type MemoryContingency,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import type { Scheduler } from 'fast-check';
import { vi } from 'vitest';
import { eventIdOf } from '../../src/core/event.js';
import type { ContingencyLog, SealedRecords } from '../../src/ports/contingency-log.js';
import type { EventPublisher, PublishBatch } from '../../src/ports/event-publisher.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import { endsPromised, rollbacksAskedFor } from '../campaign/ends.js';
import type { History, HistoryEntry } from '../campaign/history.js';
import type { FinalSession, Message, Observations, Quarantined } from '../campaign/observations.js';
import { observeSessions } from '../campaign/observe.js';
import {
  type RecordedCommands,
  recordAttempts,
  recordedCommands,
  recordedContingency,
  recordedPublisher,
} from '../campaign/recording.js';
import { faultyStore, type StoreFault } from '../support/faulty-store.js';

/** Small batches, so that a commit has several. */
export const COMMIT = { batchEvents: 2, inFlight: 2, leaseMs: 60_000, retries: 0 } as const;

export type Part = 'store' | 'broker' | 'log';
export type PartFault = Exclude<StoreFault, 'up'>;

/**
 * Two hosts, each with an instance of the library, on one store and one broker in memory. Every call of a port waits
 * for the scheduler on its way there and on its way back; what it does there it does at once. Everything that happens
 * is in a history, for the checker of the campaign.
 */
export interface Services {
  /** Calls a command of a host. `inTurn`: when what it has called before is over. */
  call(host: Host, inTurn: boolean, command: (commands: RecordedCommands) => Promise<unknown>): void;
  recover(host: Host): void;
  /** The next calls of a part by a host fail so. */
  fail(host: Host, part: Part, faults: readonly PartFault[]): void;
  /** The instance does nothing more, and hears of nothing; a new one takes its place. */
  crash(host: Host): void;
  /** Leases that are held run out, by the clock of the store; who holds them does not notice. */
  endLeases(): void;
  /** So many milliseconds pass at once, as when a machine stands still: on every clock, with every timer that is due. */
  pass(ms: number): void;
  /** When all calls are over: everything works again, and recovery runs until nothing is left. */
  heal(): Promise<{ history: readonly HistoryEntry[]; observations: Observations }>;
  /** Lets go of everything. */
  end(): Promise<void>;
}

export type Host = 0 | 1;
const HOSTS: readonly Host[] = [0, 1];

/** One instance, until it dies. */
interface Life {
  readonly history: History;
  readonly sessions: ReturnType<typeof createEventSessions>;
  readonly commands: RecordedCommands;
  readonly underWay: Set<Promise<unknown>>;
  dead: boolean;
  /** Ends what still waits in a dead instance. */
  bury(): void;
}

interface SharedLog {
  readonly name: string;
  readonly earlier: MemoryContingency[];
  current: MemoryContingency;
  /** Whose recovery is at work on it. */
  sealedBy: Life | undefined;
}

/** Of recovery, until nothing can change any more. */
const PASSES = 8;

/** What the library reads and waits for. Nothing else goes on by itself here. */
const CLOCKS = ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;

export function createServices(scheduler: Scheduler, sharesLog: boolean): Services {
  vi.useFakeTimers({ toFake: [...CLOCKS] });
  let scheduled = true;
  let clock = 0;
  let aheadMs = 0;
  const history: HistoryEntry[] = [];
  const messages: Message[] = [];
  const store = memoryStore({ now: () => Date.now() + aheadMs });
  const logs = (sharesLog ? ['log'] : ['log-a', 'log-b']).map(
    (name): SharedLog => ({ name, earlier: [], current: memoryContingency(), sealedBy: undefined }),
  );
  const logOf = (host: Host) => logs[host % logs.length] as SharedLog;
  const faults = new Map<string, PartFault[]>();
  const lives: Life[] = [];
  const witness = historyOf('witness');

  /** A clock that goes on with everything that happens, so that nothing happens at the same time. */
  function now(): number {
    clock += 10;
    return clock;
  }

  function historyOf(process: string): History {
    let n = 0;
    return {
      process,
      write(fact) {
        n += 1;
        history.push({ process, n, at: now(), ...fact });
      },
      close() {},
    };
  }

  function nextFault(host: Host, part: Part): StoreFault {
    return (scheduled && faults.get(`${host} ${part}`)?.shift()) || 'up';
  }

  function begin(host: Host, ttl = 86_400_000): Life {
    const own = historyOf(`${'ab'[host]}${lives.length}`);
    const log = logOf(host);
    let bury = () => {};
    const grave = new Promise<never>((_, reject) => {
      bury = () => reject(new EventSessionsError('CLOSED', 'the instance is dead'));
    });
    grave.catch(() => {});

    async function travel(what: string): Promise<void> {
      if (life.dead) await grave;
      if (scheduled) await scheduler.schedule(Promise.resolve(), `${own.process} ${what}`);
      if (life.dead) await grave;
    }

    const gated = <A extends unknown[], R>(what: string, call: (...args: A) => Promise<R>) =>
      async function overTheWire(...args: A): Promise<R> {
        await travel(what);
        try {
          return await call(...args);
        } finally {
          await travel(`${what} answered`);
        }
      };

    function wiredStore(): SessionStore {
      const faulty = faultyStore(store);
      faulty.decide = () => nextFault(host, 'store');
      const methods = Object.entries(faulty).filter(([, method]) => typeof method === 'function');
      const wired = methods.map(([name, method]) => [name, gated(`store.${name}`, method)]);
      return { ...Object.fromEntries(wired), close: async () => {} };
    }

    const wiredPublisher = (): EventPublisher =>
      memoryPublisher({
        // Up to the answer: no later batch may get through before the caller knows that this one failed.
        onPublish: gated('publish', async (batch) => {
          const fault = nextFault(host, 'broker');
          if (fault === 'up' || fault === 'cut after') messages.push(...messagesOf(batch, now));
          if (fault === 'up') return;
          const outcome = fault === 'down' ? 'not_done' : 'unknown';
          throw new EventSessionsError('PUBLISH_FAILED', `the broker is ${fault}`, { outcome });
        }),
      });

    function wiredLog(): ContingencyLog {
      return {
        append: gated('log.append', async (records) => {
          const fault = nextFault(host, 'log');
          if (fault === 'up' || fault === 'cut after') await log.current.append(records);
          if (fault === 'up') return;
          const at = now();
          witness.write({ kind: 'fault', fault: `disk: ${fault}`, target: log.name, from: at, until: at });
          throw new EventSessionsError('CONTINGENCY_FAILED', `the log is ${fault}`);
        }),
        seal: gated('log.seal', async () => {
          const sealed = await log.current.seal();
          if (typeof sealed === 'string') return sealed;
          log.sealedBy = life;
          return wiredPart(sealed);
        }),
        backlog: () => log.current.backlog(),
        ping: () => log.current.ping(),
        close: async () => {},
      };
    }

    const wiredPart = (sealed: SealedRecords): SealedRecords => ({
      ...sealed,
      settle: gated('log.settle', sealed.settle),
      quarantine: gated('log.quarantine', sealed.quarantine),
      release: gated('log.release', async () => {
        log.sealedBy = undefined;
        await sealed.release();
      }),
    });

    const mute: History = { ...own, write: (fact) => (life.dead ? undefined : own.write(fact)) };
    const sessions = createEventSessions({
      store: wiredStore(),
      publisher: recordedPublisher(wiredPublisher(), mute),
      contingency: recordedContingency(wiredLog(), mute),
      commit: COMMIT,
      ttl,
      recovery: false,
      logger: false,
      instanceId: own.process,
    });
    const life: Life = {
      history: mute,
      sessions,
      commands: recordedCommands(sessions, mute),
      underWay: new Set(),
      dead: false,
      bury,
    };
    own.write({ kind: 'started', log: log.name });
    recordAttempts(sessions, mute);
    lives.push(life);
    return life;
  }

  const current = HOSTS.map((host) => begin(host));
  const living = (host: Host) => current[host] as Life;

  /** What it answers is in the history: the checker judges it. */
  function track(life: Life, call: () => Promise<unknown>): void {
    const tracked = call()
      .catch(() => {})
      .finally(() => life.underWay.delete(tracked));
    life.underWay.add(tracked);
  }

  async function recoverOn(life: Life): Promise<{ complete: boolean }> {
    try {
      const report = await life.sessions.recover();
      life.history.write({ kind: 'recovered', failed: false, report });
      return report;
    } catch {
      life.history.write({ kind: 'recovered', failed: true });
      return { complete: false };
    }
  }

  /** Until nothing changes any more: what one log has may wait for what another one has. */
  async function recoverAll(healers: readonly Life[]): Promise<void> {
    for (let pass = 0; pass < PASSES; pass += 1) {
      let complete = true;
      for (const healer of healers) complete = (await recoverOn(healer)).complete && complete;
      if (complete) return;
    }
  }

  const idle = async () => {
    do {
      await scheduler.waitIdle();
      await new Promise((resolve) => setImmediate(resolve));
    } while (scheduler.count() > 0);
  };

  return {
    call(host, inTurn, command) {
      const life = living(host);
      const before = inTurn ? Promise.all(life.underWay) : undefined;
      track(life, before ? () => before.then(() => command(life.commands)) : () => command(life.commands));
    },

    recover(host) {
      const life = living(host);
      track(life, () => recoverOn(life));
    },

    fail(host, part, next) {
      faults.set(`${host} ${part}`, [...next]);
    },

    crash(host) {
      const life = living(host);
      life.dead = true;
      witness.write({ kind: 'died', victim: life.history.process });
      const log = logOf(host);
      if (log.sealedBy === life) {
        // What it had not settled is there for the next.
        const { records } = log.current;
        log.earlier.push(log.current);
        log.current = memoryContingency();
        if (records.length > 0) void log.current.append(records);
        log.sealedBy = undefined;
      }
      current[host] = begin(host);
    },

    endLeases() {
      aheadMs += COMMIT.leaseMs + 1;
    },

    pass(ms) {
      vi.advanceTimersByTime(ms);
    },

    async heal() {
      await idle();
      scheduled = false;
      aheadMs += COMMIT.leaseMs + 1;
      const ids = new Set(history.flatMap((entry) => (entry.kind === 'invoke' ? [entry.sessionId] : [])));
      const healers = logs.map((_, i) => living(HOSTS[i] as Host));
      await recoverAll(healers);
      const recovered = await observeSessions(store, ids);
      const rolledBack = rollbacksAskedFor(history);
      const promised = endsPromised(history);
      const { commands } = living(0);
      for (const [id, { status }] of recovered) {
        if (status === 'open') await (rolledBack.has(id) ? commands.rollback(id) : commands.commit(id));
      }
      await recoverAll(healers);
      const isEmpty = () => logs.every(({ current: log }) => log.records.length === 0);
      if (!isEmpty()) {
        // What is left belongs to sessions that nobody has started.
        const impatient = logs.map((_, i) => begin(HOSTS[i] as Host, 1));
        vi.advanceTimersByTime(1);
        for (let pass = 0; pass < 100 && !isEmpty(); pass += 1) await recoverAll(impatient);
      }
      for (const life of lives) if (!life.dead) life.history.write({ kind: 'ended' });

      const sessions = new Map<string, FinalSession>();
      for (const [id, final] of await observeSessions(store, ids)) {
        const statusAfterRecovery = promised.has(id) ? recovered.get(id)?.status : undefined;
        sessions.set(id, { ...final, statusAfterRecovery });
      }
      const backlog = new Map(logs.map(({ name, current: log }) => [name, log.records.length]));
      return {
        history,
        observations: { messages, sessions, quarantine: logs.flatMap(quarantineOf), backlog },
      };
    },

    async end() {
      for (const life of lives) {
        life.dead = true;
        life.bury();
      }
      await Promise.all(lives.map(({ sessions }) => sessions.close()));
      vi.useRealTimers();
    },
  };
}

function messagesOf({ topic, events }: PublishBatch, now: () => number): Message[] {
  return events.map(({ sequence, json }) => {
    const { sessionid, data } = JSON.parse(json) as { sessionid: string; data: { tag: string } };
    const timestamp = BigInt(now()) * 1_000_000n;
    return { topic, timestamp, sessionId: sessionid, id: eventIdOf(json), sequence, tag: data.tag };
  });
}

function quarantineOf({ name, earlier, current }: SharedLog): Quarantined[] {
  return [...earlier, current].flatMap(({ quarantined }) =>
    quarantined.map((entry): Quarantined => {
      if (!('record' in entry)) return { log: name, reason: entry.reason };
      const { kind, sessionId } = entry.record;
      const eventId = 'event' in entry.record ? eventIdOf(entry.record.event) : undefined;
      return { log: name, reason: entry.reason, record: { kind, sessionId, eventId } };
    }),
  );
}

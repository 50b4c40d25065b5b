import type { SessionStatus } from 'event-sessions';
import type { Command, Failure, HistoryEntry, HistoryFact, Receipt } from './history.js';
import type { FinalSession, Message, Observations, Quarantined } from './observations.js';

/**
 * A history made by hand, to try the checker on: the world does what a perfect library would do, and a test then spoils
 * one thing in it.
 */
export interface World {
  readonly history: HistoryEntry[];
  readonly messages: Message[];
  readonly sessions: Map<
    string,
    { status: SessionStatus; eventIds: string[]; statusAfterRecovery?: SessionStatus }
  >;
  readonly quarantine: Quarantined[];
  readonly backlog: Map<string, number>;
  process(name: string, log?: string): SyntheticProcess;
  observations(): Observations;
}

export interface SyntheticProcess {
  readonly name: string;
  write(fact: HistoryFact): void;
  invoke(command: Command): { ok(receipt: Receipt): void; fail(failure: Failure): void };
  start(sessionId: string): void;
  /** Stored and acknowledged. */
  add(sessionId: string, ...ids: string[]): void;
  /** Into the log and acknowledged. */
  addDeferred(sessionId: string, ...ids: string[]): void;
  /** What the store does when it gets them. */
  store(sessionId: string, ...ids: string[]): void;
  /** A whole commit: lease, batches, receipt. */
  commit(sessionId: string): void;
  /** Gets the lease; answers the epoch. */
  begin(sessionId: string, cursor?: number): void;
  /** Calls the publisher; what nsqd does with it is up to `outcome`. */
  publish(sessionId: string, ids: readonly string[], outcome?: PublishOutcome): void;
  finish(sessionId: string): void;
  rollback(sessionId: string): void;
  end(): void;
  die(): void;
}

/** `taken`: the broker has it, and the caller can't know. */
export type PublishOutcome = 'published' | 'not_done' | 'taken' | 'dead';

export const TOPIC = 'synthetic';

export function world(): World {
  const history: HistoryEntry[] = [];
  const messages: Message[] = [];
  const sessions: World['sessions'] = new Map();
  const quarantine: Quarantined[] = [];
  const backlog = new Map<string, number>();
  const epochs = new Map<string, number>();
  let at = 1_700_000_000_000;
  let calls = 0;

  const session = (sessionId: string) => {
    const known = sessions.get(sessionId);
    if (known === undefined) throw new Error(`no session ${sessionId}`);
    return known;
  };
  const receiptOf = (sessionId: string): Receipt => {
    const events = session(sessionId).eventIds.length;
    return { sessionId, status: 'committed', events, published: events, deferred: 0, durationMs: 1 };
  };

  function process(name: string, log = 'log-a'): SyntheticProcess {
    let n = 0;
    let ops = 0;
    const write = (fact: HistoryFact) => {
      n += 1;
      at += 10;
      history.push({ process: name, n, at, ...fact });
    };
    write({ kind: 'started', log });

    const self: SyntheticProcess = {
      name,
      write,
      invoke(command) {
        ops += 1;
        const op = ops;
        write({ kind: 'invoke', op, ...command });
        return {
          ok: (receipt) => write({ kind: 'ok', op, receipt }),
          fail: (failure) => write({ kind: 'fail', op, ...failure }),
        };
      },
      start(sessionId) {
        const call = self.invoke({ command: 'start', sessionId });
        sessions.set(sessionId, { status: 'open', eventIds: [] });
        call.ok({ sessionId, status: 'open', created: true, deferred: false });
      },
      add(sessionId, ...ids) {
        const call = self.invoke(addOf(sessionId, ids));
        self.store(sessionId, ...ids);
        call.ok(addReceipt(sessionId, ids, false));
      },
      addDeferred(sessionId, ...ids) {
        const call = self.invoke(addOf(sessionId, ids));
        const records = ids.map((eventId) => ({ kind: 'event.added' as const, sessionId, eventId }));
        write({ kind: 'recording', append: ops, records });
        write({ kind: 'recorded', append: ops });
        call.ok(addReceipt(sessionId, ids, true));
      },
      store(sessionId, ...ids) {
        const { eventIds } = session(sessionId);
        eventIds.push(...ids.filter((id) => !eventIds.includes(id)));
      },
      begin(sessionId, cursor = 0) {
        const epoch = (epochs.get(sessionId) ?? 0) + 1;
        epochs.set(sessionId, epoch);
        const { eventIds } = session(sessionId);
        write({ kind: 'committing', sessionId, epoch, events: eventIds.length, cursor });
        session(sessionId).status = 'committing';
      },
      publish(sessionId, ids, outcome = 'published') {
        calls += 1;
        const call = calls;
        const { eventIds } = session(sessionId);
        const late = ids.filter((id) => !eventIds.includes(id));
        const events = ids.map((id): [number, string] => {
          const place = eventIds.indexOf(id);
          return [place === -1 ? eventIds.length + late.indexOf(id) + 1 : place + 1, id];
        });
        write({ kind: 'publish', call, sessionId, topic: TOPIC, events });
        if (outcome !== 'not_done') {
          for (const [sequence, id] of events) {
            const timestamp = BigInt(at) * 1_000_000n + BigInt(messages.length);
            messages.push({ topic: TOPIC, timestamp, sessionId, id, sequence, tag: id });
          }
        }
        if (outcome === 'published') write({ kind: 'published', call });
        if (outcome === 'taken') write({ kind: 'publish_failed', call, outcome: 'unknown' });
        if (outcome === 'not_done') write({ kind: 'publish_failed', call, outcome });
      },
      finish(sessionId) {
        session(sessionId).status = 'committed';
        write({ kind: 'committed', sessionId });
      },
      commit(sessionId) {
        const call = self.invoke({ command: 'commit', sessionId });
        self.begin(sessionId);
        const { eventIds } = session(sessionId);
        for (let i = 0; i < eventIds.length; i += 2) self.publish(sessionId, eventIds.slice(i, i + 2));
        self.finish(sessionId);
        call.ok(receiptOf(sessionId));
      },
      rollback(sessionId) {
        const call = self.invoke({ command: 'rollback', sessionId });
        const { eventIds } = session(sessionId);
        session(sessionId).status = 'rolled_back';
        call.ok({ sessionId, status: 'rolled_back', discarded: eventIds.length, deferred: false });
      },
      end: () => write({ kind: 'ended' }),
      die() {
        at += 10;
        history.push({ process: 'nemesis', n: history.length, at, kind: 'died', victim: name });
      },
    };
    return self;
  }

  return {
    history,
    messages,
    sessions,
    quarantine,
    backlog,
    process,
    observations: () => ({
      messages,
      sessions: new Map(
        [...sessions].map(([sessionId, { eventIds, ...rest }]): [string, FinalSession] => [
          sessionId,
          { ...rest, eventIds, events: eventIds.length },
        ]),
      ),
      quarantine,
      backlog,
    }),
  };
}

export const addOf = (sessionId: string, ids: readonly string[]): Command => ({
  command: 'add',
  sessionId,
  events: ids.map((id) => ({ id, tag: id, topic: TOPIC })),
});

export const addReceipt = (sessionId: string, ids: readonly string[], deferred: boolean): Receipt => ({
  sessionId,
  events: ids.map((eventId) => ({ sessionId, eventId, duplicate: false, deferred })),
  deferred,
});

import {
  type CommitReceipt,
  type EventSessions,
  EventSessionsError,
  isEventSessionsError,
  type SessionStatus,
} from 'event-sessions';
import fc from 'fast-check';

/** What a session should be, by the rules of the life cycle alone. */
export interface ModelSession {
  status: SessionStatus;
  /** Commits that died in the middle. */
  deaths: number;
  readonly events: { id: string; data: number }[];
  receipt: CommitReceipt | undefined;
}

export interface Model {
  readonly sessions: Map<string, ModelSession>;
  added: number;
  /** What the run has come by, so that a test can tell whether its runs were worth something. */
  readonly seen: Record<
    'duplicate' | 'commit' | 'rollback' | 'death' | 'race' | 'refusal' | 'published twice',
    number
  >;
}

export const nothingSeen = (): Model['seen'] => ({
  duplicate: 0,
  commit: 0,
  rollback: 0,
  death: 0,
  race: 0,
  refusal: 0,
  'published twice': 0,
});

export interface Real {
  /** Several instances on one store, of which one acts at a time. */
  readonly instances: EventSessions[];
  /** What the broker has of a session, in order, as often as it has it. */
  published(sessionId: string): string[];
  /** Replaces an instance by a new one, as a crash between two commands does. */
  crash(index: number): void;
  /**
   * A commit by an instance that dies: after `batches` acknowledged ones it publishes up to its window, and neither
   * hears of it nor does anything else ever again. Then its lease runs out. False if the commit was over before.
   */
  commitAndDie(sessionId: string, batches: number): Promise<boolean>;
  /** The most events that may come twice for each commit that dies. */
  readonly window: number;
}

type Command = fc.AsyncCommand<Model, Real>;

async function refusal(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (isEventSessionsError(error)) return error.code;
    throw error;
  }
  throw new EventSessionsError('INVALID_INPUT', 'it should have been refused');
}

function equal(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

abstract class OnSession implements Command {
  constructor(
    readonly instance: number,
    readonly sessionId: string,
  ) {}

  check(): boolean {
    return true;
  }

  session(real: Real) {
    const instance = real.instances[this.instance % real.instances.length] as EventSessions;
    return instance.session(this.sessionId);
  }

  abstract run(model: Model, real: Real): Promise<void>;
  abstract toString(): string;
}

class Start extends OnSession {
  async run(model: Model, real: Real) {
    const instance = real.instances[this.instance % real.instances.length] as EventSessions;
    const start = () => instance.commands.startSession({ sessionId: this.sessionId });
    const known = model.sessions.get(this.sessionId);
    if (known !== undefined && known.status !== 'open') {
      equal(await refusal(start), 'SESSION_NOT_OPEN', 'start');
      return;
    }
    equal((await start()).created, known === undefined, 'created');
    if (known === undefined)
      model.sessions.set(this.sessionId, { status: 'open', deaths: 0, events: [], receipt: undefined });
  }
  toString = () => `start(${this.sessionId})@${this.instance}`;
}

class Add extends OnSession {
  constructor(
    instance: number,
    sessionId: string,
    readonly ids: readonly string[],
  ) {
    super(instance, sessionId);
  }
  async run(model: Model, real: Real) {
    const events = this.ids.map((id, i) => ({ type: 'model', data: model.added + i, id }));
    model.added += events.length;
    const add = () => this.session(real).addMany(events);
    const session = model.sessions.get(this.sessionId);
    if (session === undefined) return equal(await refusal(add), 'SESSION_NOT_FOUND', 'add');
    if (session.status !== 'open') {
      model.seen.refusal += 1;
      return equal(await refusal(add), 'SESSION_NOT_OPEN', 'add');
    }
    const receipt = await add();
    receipt.events.forEach(({ duplicate }, i) => {
      const { id, data } = events[i] as { id: string; data: number };
      const known = session.events.some((event) => event.id === id);
      equal(duplicate, known, `duplicate of ${id}`);
      if (known) model.seen.duplicate += 1;
      if (!known) session.events.push({ id, data });
    });
  }
  toString = () => `add(${this.sessionId}, ${this.ids})@${this.instance}`;
}

class Commit extends OnSession {
  async run(model: Model, real: Real) {
    const commit = () => this.session(real).commit();
    const session = model.sessions.get(this.sessionId);
    if (session === undefined) return equal(await refusal(commit), 'SESSION_NOT_FOUND', 'commit');
    if (session.status === 'rolled_back') return equal(await refusal(commit), 'SESSION_NOT_OPEN', 'commit');
    const receipt = await commit();
    if (session.receipt !== undefined) return equal(receipt, session.receipt, 'the receipt again');
    const { events } = session;
    const counts = {
      sessionId: this.sessionId,
      status: 'committed',
      events: events.length,
      published: events.length,
      deferred: 0,
    };
    equal({ ...receipt, durationMs: 0 }, { ...counts, durationMs: 0 }, 'receipt');
    Object.assign(session, { status: 'committed', receipt });
    model.seen.commit += 1;
  }
  toString = () => `commit(${this.sessionId})@${this.instance}`;
}

class CommitAndDie extends OnSession {
  async run(model: Model, real: Real) {
    const session = model.sessions.get(this.sessionId);
    if (session?.status !== 'open' && session?.status !== 'committing') return;
    const died = await real.commitAndDie(this.sessionId, this.instance);
    session.status = 'committing';
    if (died) {
      session.deaths += 1;
      model.seen.death += 1;
    }
    if (!died) await new Commit(this.instance, this.sessionId).run(model, real);
  }
  toString = () => `commit and die after ${this.instance} batches(${this.sessionId})`;
}

class WrongCommit extends OnSession {
  async run(model: Model, real: Real) {
    const session = model.sessions.get(this.sessionId);
    if (session?.status !== 'open') return;
    const expectedEvents = session.events.length + 1;
    const code = await refusal(() => this.session(real).commit({ expectedEvents }));
    equal(code, 'EXPECTED_EVENTS_MISMATCH', 'commit');
  }
  toString = () => `commit with a wrong count(${this.sessionId})@${this.instance}`;
}

class Rollback extends OnSession {
  async run(model: Model, real: Real) {
    const rollback = () => this.session(real).rollback();
    const session = model.sessions.get(this.sessionId);
    if (session === undefined) return equal(await refusal(rollback), 'SESSION_NOT_FOUND', 'rollback');
    if (session.status !== 'open' && session.status !== 'rolled_back') {
      return equal(await refusal(rollback), 'SESSION_NOT_OPEN', 'rollback');
    }
    equal((await rollback()).discarded, session.events.length, 'discarded');
    session.status = 'rolled_back';
    model.seen.rollback += 1;
  }
  toString = () => `rollback(${this.sessionId})@${this.instance}`;
}

class Race extends OnSession {
  async run(model: Model, real: Real) {
    const session = model.sessions.get(this.sessionId);
    if (session?.status !== 'open') return;
    const acts = real.instances.flatMap((instance) => {
      const handle = instance.session(this.sessionId);
      return [() => handle.commit(), () => handle.rollback()];
    });
    const results = await Promise.allSettled(acts.map((act) => act()));
    const kinds = new Set<string>();
    for (const result of results) {
      if (result.status === 'fulfilled') kinds.add(result.value.status);
      else if (!isEventSessionsError(result.reason)) throw result.reason;
      else if (!['SESSION_NOT_OPEN', 'COMMIT_IN_PROGRESS'].includes(result.reason.code)) throw result.reason;
    }
    model.seen.race += 1;
    equal(kinds.size, 1, `one outcome of the race, not ${[...kinds]}`);
    const { status } = await this.session(real).status();
    equal([...kinds], [status], 'the outcome');
    session.status = status;
    if (status !== 'committed') return;
    session.receipt = await this.session(real).commit();
  }
  toString = () => `race(${this.sessionId})`;
}

class Look extends OnSession {
  async run(model: Model, real: Real) {
    const session = model.sessions.get(this.sessionId);
    const look = () => this.session(real).status();
    if (session === undefined) return equal(await refusal(look), 'SESSION_NOT_FOUND', 'status');
    const { status, events } = await look();
    equal([status, events], [session.status, session.events.length], 'status');
    const page = await this.session(real).events({ limit: 1_000 });
    equal(
      page.events.map(({ id, data }) => ({ id, data })),
      session.events,
      'events',
    );
    const published = real.published(this.sessionId);
    const firsts = [...new Set(published)];
    const due = session.events.map(({ id, data }) => `${id} ${data}`);
    if (status === 'open' || status === 'rolled_back') equal(published, [], 'published');
    else equal(firsts, status === 'committed' ? due : due.slice(0, firsts.length), 'published');
    const duplicates = published.length - firsts.length;
    if (duplicates > 0) model.seen['published twice'] += 1;
    if (duplicates > session.deaths * real.window)
      throw new Error(`${duplicates} duplicates after ${session.deaths} deaths`);
  }
  toString = () => `look(${this.sessionId})@${this.instance}`;
}

class Crash implements Command {
  constructor(readonly instance: number) {}
  check = () => true;
  async run(_model: Model, real: Real) {
    real.crash(this.instance % real.instances.length);
  }
  toString = () => `crash@${this.instance}`;
}

/** Random commands on a handful of sessions, by a handful of instances. `prefix` keeps runs on a shared store apart. */
export function sessionCommands(): fc.Arbitrary<Iterable<Command>> {
  const instance = fc.nat({ max: 2 });
  const sessionId = fc.constantFrom('s-1', 's_2');
  const ids = fc.array(
    fc.nat({ max: 30 }).map((n) => `e-${n}`),
    { minLength: 1, maxLength: 12, size: 'max' },
  );
  const on = <C extends Command>(make: (instance: number, sessionId: string) => C) =>
    fc.tuple(instance, sessionId).map((args) => make(...args));
  return fc.commands(
    [
      on((i, s) => new Start(i, s)),
      fc.tuple(instance, sessionId, ids).map((args) => new Add(...args)),
      fc.tuple(instance, sessionId, ids).map((args) => new Add(...args)),
      on((i, s) => new Commit(i, s)),
      on((i, s) => new CommitAndDie(i, s)),
      on((i, s) => new WrongCommit(i, s)),
      on((i, s) => new Rollback(i, s)),
      on((i, s) => new Race(i, s)),
      on((i, s) => new Look(i, s)),
      instance.map((i) => new Crash(i)),
    ],
    { maxCommands: 40, size: 'max' },
  );
}

/** Every session as the model has it, and nothing published that it does not know of. */
export async function compare(model: Model, real: Real): Promise<void> {
  for (const sessionId of model.sessions.keys()) await new Look(0, sessionId).run(model, real);
}

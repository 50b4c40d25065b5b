import type { CommitReceipt, RollbackReceipt } from 'event-sessions';
import type { StartReceipt } from '../../src/commands/start-session.js';
import type { AddedEvent, Command, Failure, HistoryEntry, HistoryFact, Receipt } from './history.js';
import type { FinalSession, Message, Observations, Quarantined } from './observations.js';

/** The history and the observations, sorted by session: what the rules of the checker read. */
export interface Stories {
  readonly sessions: ReadonlyMap<string, SessionStory>;
  readonly operations: readonly Operation[];
  readonly processes: ReadonlyMap<string, ProcessStory>;
  readonly faults: readonly Fault[];
  /** Processes that ended as none should. */
  readonly failures: readonly ProcessFailure[];
  readonly observations: Observations;
}

export interface ProcessStory {
  readonly process: string;
  readonly log: string;
  readonly entries: readonly HistoryEntry[];
  /** Those that did not get to their end. */
  readonly interruptedRecoveries: InterruptedRecovery[];
  /** It said itself that it ended, with nothing under way. */
  readonly ended: boolean;
  readonly died: boolean;
}

export interface InterruptedRecovery {
  /** With which it published what is owed, in order. */
  readonly calls: readonly PublishCall[];
  /** When it gave up or its process died, in milliseconds since the epoch. */
  readonly until: number;
}

export interface SessionStory {
  readonly sessionId: string;
  readonly starts: Operation[];
  readonly adds: Operation[];
  readonly commits: Operation[];
  readonly rollbacks: Operation[];
  readonly events: EventStory[];
  readonly attempts: Attempt[];
  readonly calls: PublishCall[];
  readonly quarantine: Quarantined[];
  /** Messages that are none of its events. */
  readonly strangers: Message[];
  final: FinalSession | undefined;
}

/** A command, from its call to what came of it. */
export interface Operation {
  readonly process: string;
  readonly command: Command;
  readonly invoked: Moment;
  settled?: Moment;
  receipt?: Receipt;
  failure?: Failure;
}

export interface Moment {
  /** The place in the history of its process. */
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** One event, however often it was added, recorded and published. */
export interface EventStory {
  readonly tag: string;
  readonly topic: string;
  /** Unknown when the library made it and nobody lived to be told. */
  id: string | undefined;
  readonly adds: Operation[];
  readonly messages: Message[];
  /** How often it was written to a log as `event.added`, and which logs have taken it as `event.unpublished`, since when. */
  readonly recorded: {
    added: number;
    readonly unpublishedIn: Map<string, number>;
    /** In how many appends that were under way while another process renamed the log: such a one is written again. */
    whileRenamed: number;
  };
}

/** A commit attempt of one process: everything the process did for the session until its next attempt. */
export interface Attempt {
  readonly process: string;
  readonly from: Moment;
  readonly epoch: number;
  readonly cursor: number;
  /** Whether it has published, perhaps published, or deferred anything. */
  worked: boolean;
}

export interface PublishCall {
  readonly process: string;
  readonly sessionId: string;
  readonly topic: string;
  readonly events: readonly (readonly [sequence: number, id: string])[];
  /** The commit attempt that it belongs to. Without one it is recovery that publishes what is owed. */
  readonly attempt: Attempt | undefined;
  readonly invoked: Moment;
  settled?: Moment;
  /** `lost`: its process died before it could hear. */
  outcome: 'published' | 'not_done' | 'unknown' | 'refused' | 'lost';
}

export type ProcessFailure = Extract<HistoryFact, { kind: 'crashed' | 'hung' }>;
export type Fault = Extract<HistoryFact, { kind: 'fault' }>;

export function tellStories(history: readonly HistoryEntry[], observations: Observations): Stories {
  const processes = processesOf(history);
  const sessions = new Map<string, SessionStory>();
  const sessionOf = (sessionId: string): SessionStory => {
    const known = sessions.get(sessionId);
    if (known !== undefined) return known;
    const story = newStory(sessionId, observations.sessions.get(sessionId));
    sessions.set(sessionId, story);
    return story;
  };

  const operations: Operation[] = [];
  for (const process of processes.values()) tellProcess(process, operations, sessionOf);
  const eventsById = new Map<string, EventStory>();
  for (const session of sessions.values()) gatherEvents(session, eventsById);
  for (const process of processes.values())
    countRecords(process, eventsById, sealsOf(processes.values(), process));
  const byTag = new Map<string, EventStory>();
  for (const { sessionId, events } of sessions.values()) {
    for (const event of events) byTag.set(key(sessionId, event.tag), event);
  }
  for (const message of observations.messages) {
    const session = sessionOf(message.sessionId);
    const event =
      eventsById.get(key(message.sessionId, message.id)) ?? byTag.get(key(message.sessionId, message.tag));
    const fits = event !== undefined && event.topic === message.topic && event.tag === message.tag;
    if (fits && (event.id === undefined || event.id === message.id)) {
      event.id = message.id;
      event.messages.push(message);
    } else {
      session.strangers.push(message);
    }
  }
  for (const entry of observations.quarantine) {
    if (entry.record !== undefined) sessionOf(entry.record.sessionId).quarantine.push(entry);
  }
  const faults = history.filter((entry): entry is HistoryEntry & Fault => entry.kind === 'fault');
  const failures = history.filter(
    (entry): entry is HistoryEntry & ProcessFailure => entry.kind === 'crashed' || entry.kind === 'hung',
  );
  return { sessions, operations, processes, faults, failures, observations };
}

function processesOf(history: readonly HistoryEntry[]): Map<string, ProcessStory> {
  const processes = new Map<
    string,
    { log: string; entries: HistoryEntry[]; ended: boolean; died: boolean }
  >();
  const died = new Set<string>();
  for (const entry of history) {
    if (entry.kind === 'died') died.add(entry.victim);
    const known = processes.get(entry.process) ?? { log: '', entries: [], ended: false, died: false };
    processes.set(entry.process, known);
    known.entries.push(entry);
    if (entry.kind === 'started') known.log = entry.log;
    if (entry.kind === 'ended') known.ended = true;
  }
  return new Map(
    [...processes].map(([process, story]) => [
      process,
      { ...story, process, interruptedRecoveries: [], died: died.has(process) },
    ]),
  );
}

function newStory(sessionId: string, final: FinalSession | undefined): SessionStory {
  return {
    sessionId,
    starts: [],
    adds: [],
    commits: [],
    rollbacks: [],
    events: [],
    attempts: [],
    calls: [],
    quarantine: [],
    strangers: [],
    final,
  };
}

function tellProcess(
  process: ProcessStory,
  operations: Operation[],
  sessionOf: (sessionId: string) => SessionStory,
): void {
  const underWay = new Map<number, Operation>();
  const calls = new Map<number, PublishCall>();
  /** The attempts that go on, by session. */
  const attempts = new Map<string, Attempt>();
  /** Attempts that ended with a call that did not commit. If one goes on, it was recovery's. */
  const givenUp = new Map<string, Attempt>();
  /** Sessions with attempts that may have gone on beside each other: which of them it is that works, nobody can tell. */
  const entangled = new Set<string>();
  let owed: PublishCall[] = [];
  const isBeingCommitted = (sessionId: string) =>
    [...underWay.values()].some(
      ({ command }) => command.command === 'commit' && command.sessionId === sessionId,
    );

  for (const entry of process.entries) {
    const { n, at } = entry;
    switch (entry.kind) {
      case 'invoke': {
        const { kind: _kind, op, process: _process, n: _n, at: _at, ...command } = entry;
        const operation: Operation = { process: entry.process, command, invoked: { n, at } };
        underWay.set(op, operation);
        operations.push(operation);
        sessionOf(command.sessionId)[LISTS[command.command]].push(operation);
        break;
      }
      case 'ok':
      case 'fail': {
        const operation = underWay.get(entry.op);
        if (operation === undefined) break;
        underWay.delete(entry.op);
        operation.settled = { n, at };
        if (entry.kind === 'ok') operation.receipt = entry.receipt;
        else operation.failure = entry;
        const { command, sessionId } = operation.command;
        const attempt = attempts.get(sessionId);
        if (command !== 'commit' || attempt === undefined || isBeingCommitted(sessionId)) break;
        if (isRecoverys(attempt, operation)) break;
        attempts.delete(sessionId);
        if (!isCommitted(operation)) givenUp.set(sessionId, attempt);
        break;
      }
      case 'committing': {
        const { sessionId, epoch, cursor } = entry;
        const before = attempts.get(sessionId);
        if (before !== undefined) {
          before.worked = true;
          entangled.add(sessionId);
        }
        const worked = entangled.has(sessionId);
        const attempt: Attempt = { process: entry.process, from: { n, at }, epoch, cursor, worked };
        attempts.set(sessionId, attempt);
        givenUp.delete(sessionId);
        sessionOf(sessionId).attempts.push(attempt);
        break;
      }
      case 'committed':
        attempts.delete(entry.sessionId);
        givenUp.delete(entry.sessionId);
        break;
      case 'recovered':
        for (const sessionId of attempts.keys()) {
          if (!isBeingCommitted(sessionId)) attempts.delete(sessionId);
        }
        givenUp.clear();
        if (entry.failed) process.interruptedRecoveries.push({ calls: owed, until: at });
        owed = [];
        break;
      case 'publish': {
        const { topic, events, sessionId } = entry;
        const attempt = attempts.get(sessionId);
        const call: PublishCall = {
          process: entry.process,
          sessionId,
          topic,
          events,
          attempt,
          invoked: { n, at },
          outcome: 'lost',
        };
        calls.set(entry.call, call);
        if (attempt === undefined) {
          owed.push(call);
          const goesOn = givenUp.get(sessionId);
          if (goesOn !== undefined) goesOn.worked = true;
        }
        sessionOf(sessionId).calls.push(call);
        break;
      }
      case 'published':
      case 'publish_failed': {
        const call = calls.get(entry.call);
        if (call === undefined) break;
        call.settled = { n, at };
        call.outcome = entry.kind === 'published' ? 'published' : entry.outcome;
        break;
      }
      case 'recording':
        for (const { kind, sessionId } of entry.records) {
          const attempt = attempts.get(sessionId);
          if (kind === 'event.unpublished' && attempt !== undefined) attempt.worked = true;
        }
        break;
    }
  }
  const until = process.entries.at(-1)?.at ?? 0;
  if (!process.ended) process.interruptedRecoveries.push({ calls: owed, until });
  for (const call of calls.values()) {
    if (mayHaveReached(call) && call.attempt !== undefined) call.attempt.worked = true;
  }
}

/** An attempt that was there before the call, or of which the call has heard, is not the call's. */
function isRecoverys(attempt: Attempt, { invoked, failure }: Operation): boolean {
  return attempt.from.n < invoked.n || failure?.code === 'COMMIT_IN_PROGRESS';
}

const LISTS = { start: 'starts', add: 'adds', commit: 'commits', rollback: 'rollbacks' } as const;

/** Whether the broker may have taken events of this call. */
export function mayHaveReached({ outcome }: PublishCall): boolean {
  return outcome !== 'not_done' && outcome !== 'refused';
}

/** The events of a session by what was asked for and answered: an event that was added again is still one. */
function gatherEvents(session: SessionStory, byId: Map<string, EventStory>): void {
  const byTag = new Map<string, EventStory>();
  for (const operation of session.adds) {
    const { command } = operation;
    if (command.command !== 'add') continue;
    for (const [i, added] of command.events.entries()) {
      const id = added.id ?? idInReceipt(operation, i);
      const event =
        (id === undefined ? undefined : byId.get(key(session.sessionId, id))) ?? byTag.get(added.tag);
      const story = event ?? newEvent(added);
      story.adds.push(operation);
      story.id ??= id;
      byTag.set(added.tag, story);
      if (id !== undefined) byId.set(key(session.sessionId, id), story);
      if (event === undefined) session.events.push(story);
    }
  }
}

function countRecords(
  { entries, log }: ProcessStory,
  byId: ReadonlyMap<string, EventStory>,
  seals: readonly Span[],
): void {
  const underWay = new Map<number, { events: EventStory[]; owed: EventStory[]; from: number }>();
  for (const entry of entries) {
    if (entry.kind === 'recorded') {
      const append = underWay.get(entry.append);
      const renamed =
        append !== undefined && seals.some(({ from, until }) => from <= entry.at && until >= append.from);
      if (renamed) for (const event of append.events) event.recorded.whileRenamed += 1;
      for (const { recorded } of append?.owed ?? [])
        recorded.unpublishedIn.set(log, Math.min(recorded.unpublishedIn.get(log) ?? entry.at, entry.at));
    }
    if (entry.kind !== 'recording') continue;
    const events: EventStory[] = [];
    const owed: EventStory[] = [];
    underWay.set(entry.append, { events, owed, from: entry.at });
    for (const { kind, sessionId, eventId } of entry.records) {
      const event = eventId === undefined ? undefined : byId.get(key(sessionId, eventId));
      if (event === undefined) continue;
      events.push(event);
      if (kind === 'event.added') event.recorded.added += 1;
      if (kind === 'event.unpublished') owed.push(event);
    }
  }
}

/** From when until when, in milliseconds since the epoch. */
interface Span {
  readonly from: number;
  readonly until: number;
}

/** When other processes were renaming the log that this one writes to. */
function sealsOf(processes: Iterable<ProcessStory>, { process, log }: ProcessStory): Span[] {
  const spans: Span[] = [];
  for (const other of processes) {
    if (other.log !== log || other.process === process) continue;
    let from: number | undefined;
    for (const { kind, at } of other.entries) {
      if (kind === 'sealing') from = at;
      if (kind !== 'sealed' || from === undefined) continue;
      spans.push({ from, until: at });
      from = undefined;
    }
    if (from !== undefined) spans.push({ from, until: other.entries.at(-1)?.at ?? from });
  }
  return spans;
}

const key = (sessionId: string, event: string) => `${sessionId} ${event}`;

function newEvent({ tag, topic, id }: AddedEvent): EventStory {
  return {
    tag,
    topic,
    id,
    adds: [],
    messages: [],
    recorded: { added: 0, unpublishedIn: new Map(), whileRenamed: 0 },
  };
}

function idInReceipt({ receipt }: Operation, index: number): string | undefined {
  return receipt !== undefined && 'events' in receipt && typeof receipt.events !== 'number'
    ? receipt.events[index]?.eventId
    : undefined;
}

export type Certainty = 'acknowledged' | 'possible' | 'refused';

const REFUSALS = [
  'INVALID_INPUT',
  'INVALID_EVENT',
  'UNKNOWN_EVENT_TYPE',
  'INVALID_TOPIC',
  'EVENT_TOO_LARGE',
  'SESSION_LIMIT_EXCEEDED',
  'SESSION_NOT_FOUND',
  'SESSION_NOT_OPEN',
  'COMMIT_IN_PROGRESS',
  'EXPECTED_EVENTS_MISMATCH',
  'SESSION_CORRUPT',
  'CLOSED',
];

/** `possible`: nobody was told, or was told that it can't be known. */
export function certaintyOf({ receipt, failure }: Operation): Certainty {
  if (receipt !== undefined) return 'acknowledged';
  return failure !== undefined && REFUSALS.includes(failure.code) ? 'refused' : 'possible';
}

/** Whether the answer to this add was that the event is in the store, and not in a log. */
export function isInStore(operation: Operation): boolean {
  const { receipt } = operation;
  return receipt !== undefined && 'deferred' in receipt && receipt.deferred === false;
}

export const isCommitted = (operation: Operation): operation is Operation & { receipt: CommitReceipt } =>
  operation.receipt !== undefined &&
  'status' in operation.receipt &&
  operation.receipt.status === 'committed';

export const isRolledBack = (operation: Operation): operation is Operation & { receipt: RollbackReceipt } =>
  operation.receipt !== undefined && 'discarded' in operation.receipt && !operation.receipt.deferred;

export const isStarted = (operation: Operation): operation is Operation & { receipt: StartReceipt } =>
  operation.receipt !== undefined && 'created' in operation.receipt;

import type { EventSessions } from 'event-sessions';
import type { FaultLine } from '../fault-line.js';
import type { RedisBorder } from '../redis-border.js';

/** What a scenario plays on: the three borders, and instances that come and go. */
export interface Stage {
  readonly line: FaultLine;
  readonly broker: { down: boolean };
  /** Path of the contingency log. Its folder is not there yet. */
  readonly log: string;
  /** Before every key in Redis. */
  readonly prefix: string;
  /** An id that no other case has. */
  sessionId(name: string): string;
  /** An instance with a way to Redis of its own. It is closed after the scenario, if it isn't before. */
  actor(): Actor;
  /** What is done in here has no points. */
  setting<T>(work: () => Promise<T>): Promise<T>;
  /** Begins a commit in the name of an instance that then dies, with events of this number in the session. */
  abandonedCommit(sessionId: string, events: number): Promise<void>;
  /** Makes the index of Redis name the session as overdue, which it may do too early, though never too late. */
  dueTooEarly(sessionId: string): Promise<void>;
  /** Waits until the session is overdue, finds it so as an earlier recovery would have, and waits until its grace is over. */
  pastGrace(sessionId: string): Promise<void>;
  /** Appends to the log what no instance has written. */
  damageLog(text: string): void;
  /**
   * From now on, until the function it returns is called, an interval fires once, at once. Otherwise it never does, so
   * that points do not depend on time.
   */
  tickOnce(): () => void;
}

export interface Scenario {
  readonly name: string;
  play(stage: Stage): Promise<void>;
}

/**
 * An instance, and the client that uses it: each command is a phase, is written to the history before and after, and
 * a failure of it is noted and no reason to stop.
 */
export interface Actor {
  readonly redis: RedisBorder;
  readonly sessions: EventSessions;
  start(sessionId: string, ttl?: number): Promise<void>;
  /** Each name is one event of the session. */
  add(sessionId: string, event: string): Promise<void>;
  addMany(sessionId: string, ...events: string[]): Promise<void>;
  commit(sessionId: string): Promise<void>;
  rollback(sessionId: string): Promise<void>;
  recover(): Promise<void>;
  /** Something that changes no session. */
  ask(name: string, question: (sessions: EventSessions) => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

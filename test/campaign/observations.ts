import type { SessionStatus } from 'event-sessions';

/** What is there when everything has healed, recovery has nothing left to do, and every message has been read. */
export interface Observations {
  readonly messages: readonly Message[];
  /** Every session that the history knows; those that the store does not are missing. */
  readonly sessions: ReadonlyMap<string, FinalSession>;
  readonly quarantine: readonly Quarantined[];
  /** Records that are still in a contingency log, by its name. */
  readonly backlog: ReadonlyMap<string, number>;
}

/** A message as a consumer gets it. */
export interface Message {
  readonly topic: string;
  /** When nsqd took it: nanoseconds since the epoch. */
  readonly timestamp: bigint;
  readonly sessionId: string;
  readonly id: string;
  readonly sequence: number;
  readonly tag: string;
}

export interface FinalSession {
  readonly status: SessionStatus;
  /** As it was after recovery, before whatever was still open was ended. Missing: the same. */
  readonly statusAfterRecovery?: SessionStatus | undefined;
  /** How many it counts. */
  readonly events: number;
  /** The ids of its events, in order. */
  readonly eventIds: readonly string[];
}

export interface Quarantined {
  /** The contingency log. */
  readonly log: string;
  readonly reason: string;
  readonly record?:
    | { readonly kind: string; readonly sessionId: string; readonly eventId?: string | undefined }
    | undefined;
}

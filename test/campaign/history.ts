import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type {
  AddManyReceipt,
  CommitReceipt,
  EventSessionsErrorCode,
  FailureOutcome,
  RollbackReceipt,
  SessionStatus,
} from 'event-sessions';
import type { StartReceipt } from '../../src/commands/start-session.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';

/**
 * What happened, as every process saw it: JSON lines, one file a process, each line written with one `write` before
 * the process goes on. So a kill -9 loses nothing that had been acknowledged to somebody.
 *
 * Of every operation there is an `invoke`, and then an `ok` or a `fail`, unless its process died in between.
 */
export type HistoryEntry = HistoryFact & {
  /** Which process, and which life of it: `w1.2`. */
  readonly process: string;
  /** Counts the entries of this process. */
  readonly n: number;
  /** Milliseconds since the epoch, by the clock that nsqd stamps messages with. */
  readonly at: number;
};

export type HistoryFact =
  /** The first line of a process. `log` names the contingency log that it writes to; several may share one. */
  | { readonly kind: 'started'; readonly log: string }
  /** The last line of a process that closed in an orderly way: nothing of it is under way any more. */
  | { readonly kind: 'ended' }
  /** Written by whoever killed it, or saw it die. */
  | { readonly kind: 'died'; readonly victim: string }
  /** It ended by itself with an error, or did not close when it was told to. */
  | { readonly kind: 'crashed'; readonly victim: string; readonly complaint: string }
  | { readonly kind: 'hung'; readonly victim: string }
  | ({ readonly kind: 'invoke'; readonly op: number } & Command)
  | { readonly kind: 'ok'; readonly op: number; readonly receipt: Receipt }
  | ({ readonly kind: 'fail'; readonly op: number } & Failure)
  /** A call of the publisher, before it is made. `events`: sequence and id of each. */
  | {
      readonly kind: 'publish';
      readonly call: number;
      readonly sessionId: string;
      readonly topic: string;
      readonly events: readonly (readonly [sequence: number, id: string])[];
    }
  | { readonly kind: 'published'; readonly call: number }
  | { readonly kind: 'publish_failed'; readonly call: number; readonly outcome: FailureOutcome }
  /** A commit attempt has got the lease. */
  | {
      readonly kind: 'committing';
      readonly sessionId: string;
      readonly epoch: number;
      readonly events: number;
      readonly cursor: number;
    }
  /** The attempt has come to its end. */
  | { readonly kind: 'committed'; readonly sessionId: string }
  /** Something is appended to the contingency log: written before it is. */
  | {
      readonly kind: 'recording';
      readonly records: readonly {
        readonly kind: ContingencyRecord['kind'];
        readonly sessionId: string;
        readonly eventId?: string;
      }[];
    }
  /** A recovery pass has ended; `failed` with an error, and everything it had sealed will come again. */
  | { readonly kind: 'recovered'; readonly failed: boolean; readonly report?: object }
  /** What was done to `target` on purpose. `until` is the time when it was put right. */
  | {
      readonly kind: 'fault';
      readonly fault: string;
      readonly target: string;
      readonly from: number;
      readonly until: number;
    };

export type Command =
  | { readonly command: 'start'; readonly sessionId: string; readonly ttl?: number | undefined }
  | { readonly command: 'add'; readonly sessionId: string; readonly events: readonly AddedEvent[] }
  | { readonly command: 'commit'; readonly sessionId: string; readonly expectedEvents?: number | undefined }
  | { readonly command: 'rollback'; readonly sessionId: string };

/** Without an `id` the library makes one, and `tag`, the event's data, tells which event it is. */
export interface AddedEvent {
  readonly id?: string | undefined;
  readonly tag: string;
  readonly topic: string;
}

export type Receipt = StartReceipt | AddManyReceipt | CommitReceipt | RollbackReceipt;

export interface Failure {
  /** `unexpected` is an error that is none of the library's. */
  readonly code: EventSessionsErrorCode | 'unexpected';
  readonly message: string;
  readonly outcome?: FailureOutcome | undefined;
  readonly status?: SessionStatus | undefined;
  readonly limit?: number | undefined;
}

export interface History {
  readonly process: string;
  write(fact: HistoryFact): void;
  close(): void;
}

/** Goes on behind what the file has already. */
export function openHistory(folder: string, process: string): History {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, `${process}.history.jsonl`), 'a', 0o600);
  let n = 0;
  return {
    process,
    write(fact) {
      n += 1;
      writeSync(file, `${JSON.stringify({ process, n, at: Date.now(), ...fact })}\n`);
    },
    close: () => closeSync(file),
  };
}

/** All files of a folder, process by process. What a kill left of a last line is left out: nobody was told of it. */
export function readHistory(folder: string): HistoryEntry[] {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.history.jsonl'))
    .sort();
  return files.flatMap((name) => {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line) as HistoryEntry);
  });
}

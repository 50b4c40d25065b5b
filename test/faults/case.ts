import { join } from 'node:path';
import { fileBehind } from '../../src/adapters/file/folder.js';
import type { Fault } from './fault-line.js';

/** One scenario, with at most one fault in it: what a worker is asked to do. */
export interface Case {
  /** Before every id of a session and every key of it in Redis. */
  readonly id: string;
  readonly scenario: string;
  readonly fault?: Fault | undefined;
  readonly redis: string;
  readonly nsqd: string;
  readonly topics: Topics;
  /** Nothing but this case is in it. */
  readonly folder: string;
}

/** Events whose name begins with `a` go to the first, those that begin with `b` to the second. */
export type Topics = readonly [a: string, b: string];

/** What a worker answers, if it lives. */
export interface Played {
  readonly id: string;
  /** Points, in order. */
  readonly reached: readonly string[];
  readonly struck: boolean;
  /** Methods of the store that were called. */
  readonly methods: readonly string[];
  /** Something that should never happen. */
  readonly error?: string | undefined;
}

export const logOf = (folder: string) => join(folder, 'log', 'contingency.jsonl');
/** What has the log's parts beside it, when the log is behind a symbolic link. */
export const fileOf = (folder: string) => fileBehind(logOf(folder));
export const historyOf = (folder: string) => join(folder, 'history');
export const redisPrefix = (id: string) => `faults:${id}`;
/** The one contingency log of a case, by the name that the history has for it. */
export const LOG = 'log';

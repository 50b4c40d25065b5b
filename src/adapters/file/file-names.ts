import { randomBytes } from 'node:crypto';

/** The names of the files beside a log, for whoever writes them and whoever looks for them. */

export const lockPathOf = (log: string) => `${log}.lock`;
/** Where a lock is written before it is linked to its name, and where a stale one is put before it is removed. */
export const lockDraftOf = (lock: string) => `${lock}.${randomHex()}`;
export const quarantinePathOf = (log: string) => `${log}.quarantine.jsonl`;
export const segmentPathOf = (log: string, number: number) =>
  `${log}.${String(number).padStart(12, '0')}-${randomHex()}.sealed`;
/** Where the lines of a merged segment are written before it gets its name. */
export const segmentDraftOf = (segment: string) => `${segment}.tmp`;
export const settledPathOf = (segment: string) => `${segment}.settled`;

/** By what their names have behind that of the log. */
export const SUFFIX = {
  lockDraft: /^\.lock\.[0-9a-f]{8}$/,
  segment: /^\.(\d{12})-[0-9a-f]{8}\.sealed$/,
  segmentDraft: /^\.\d{12}-[0-9a-f]{8}\.sealed\.tmp$/,
  settled: /^\.\d{12}-[0-9a-f]{8}\.sealed\.settled$/,
} as const;

const randomHex = () => randomBytes(4).toString('hex');

import { open } from 'node:fs/promises';
import type { ContingencyRecord } from '../../ports/contingency-log.js';
import { quarantinePathOf } from './file-names.js';
import { ioFailure, missing } from './io-failure.js';
import { linesOf } from './lines.js';
import { decodeRecord, textOf } from './record-line.js';

/** A line of the quarantine file: either the record, or the text that could not be read as one. */
export interface Quarantined {
  /** Milliseconds since the epoch; undefined if this very line cannot be read. */
  readonly at: number | undefined;
  readonly reason: string;
  readonly record: ContingencyRecord | undefined;
  readonly unreadable: string | undefined;
  readonly bytes: number;
}

const RECORD = '"record":';

/**
 * What lies in the quarantine of the log at `path`, oldest first; nothing if there is none.
 *
 * @throws `CONTINGENCY_FAILED` naming path and errno
 */
export async function* readQuarantine(path: string): AsyncGenerator<Quarantined> {
  const file = quarantinePathOf(path);
  try {
    const handle = await open(file, 'r').catch(missing);
    if (handle === undefined) return;
    try {
      for await (const lines of linesOf(handle)) {
        for (const { bytes } of lines) yield { ...decode(bytes), bytes: bytes.length + 1 };
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw ioFailure('read', file, error);
  }
}

function decode(line: Buffer): Omit<Quarantined, 'bytes'> {
  const damaged = { at: undefined, record: undefined, unreadable: textOf(line) };
  let entry: { at?: unknown; reason?: unknown; unreadable?: unknown; record?: unknown };
  try {
    entry = JSON.parse(line.toString('utf8'));
  } catch {
    return { ...damaged, reason: 'this line of the quarantine file is damaged' };
  }
  const { at, reason, unreadable } = entry ?? {};
  if (typeof at !== 'number' || typeof reason !== 'string') {
    return { ...damaged, reason: 'this line of the quarantine file is none of ours' };
  }
  if (typeof unreadable === 'string') return { at, reason, record: undefined, unreadable };
  // The record stands there as it stood in the log, last in the line.
  const decoded = decodeRecord(line.subarray(line.indexOf(RECORD) + RECORD.length, -1));
  if ('record' in decoded) return { at, reason, record: decoded.record, unreadable: undefined };
  return { at, reason, record: undefined, unreadable: textOf(line) };
}

import type { ContingencyRecord } from '../ports/contingency-log.js';

/** The record with its event as text only: one that is kept must not keep all that was read with it. */
export function withoutBytes(record: ContingencyRecord): ContingencyRecord {
  if (!('event' in record)) return record;
  const { utf8: _, ...fields } = record;
  return { ...fields, event: record.event };
}

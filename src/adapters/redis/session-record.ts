import type { HistoryEntry, SessionStatus } from '../../core/lifecycle.js';
import type { NotFound, NotOpen, SessionRecord } from '../../ports/session-store.js';
import { list, object, oneOf, text, unexpected, whole } from './replies.js';
import { RECORD_FIELDS } from './session-scripts.js';

type RecordField = (typeof RECORD_FIELDS)[number];

export interface RedisSessionRecord extends SessionRecord {
  /** Of an overdue session that was found so, and has not been ended: when it may be. */
  readonly graceUntil?: number | undefined;
}

export const STATUSES = [
  'open',
  'committing',
  'committed',
  'rolled_back',
  'expired',
] as const satisfies readonly SessionStatus[];

const CLOSED = STATUSES.filter((status) => status !== 'open');

/** What a script has answered that needs an open session, and has found none. */
export function refusal([outcome, status]: readonly unknown[], command: string): NotOpen | NotFound {
  if (outcome === 'not_found') return { outcome };
  if (outcome === 'not_open') return { outcome, status: oneOf(CLOSED, status, 'a status') };
  throw unexpected(`an outcome of ${command}`, outcome);
}

/** From the values of {@link RECORD_FIELDS}. */
export function toRecord(sessionId: string, given: unknown, values: unknown): RedisSessionRecord {
  const status = oneOf(STATUSES, given, 'a status');
  const hash = list(values, `an array of ${RECORD_FIELDS.length} fields`, RECORD_FIELDS.length);
  const valueFor = (field: RecordField) => hash[RECORD_FIELDS.indexOf(field)] ?? undefined;
  const number = (field: RecordField) => whole(valueFor(field), field);
  const metadata = text(valueFor('metadata'), 'metadata');
  object(metadata, 'metadata, a JSON object');
  return {
    sessionId,
    status,
    events: number('events'),
    bytes: number('bytes'),
    cursor: number('cursor'),
    deferred: number('deferred'),
    epoch: number('epoch'),
    createdAt: number('createdAt'),
    expiresAt: status === 'committing' ? undefined : number('expiresAt'),
    graceUntil:
      status === 'expired' && valueFor('graceOf') === valueFor('expiresAt')
        ? number('graceUntil')
        : undefined,
    leaseExpiresAt: status === 'committing' ? number('lease') || undefined : undefined,
    metadata,
    history: text(valueFor('history'), 'history')
      .split('\n')
      .filter((line) => line !== '')
      .map(toHistoryEntry),
  };
}

function toHistoryEntry(line: string): HistoryEntry {
  const entry = object(line, 'a line of history');
  const { status, at, instance } = entry;
  oneOf(STATUSES, status, 'a status in the history');
  whole(at, 'a time in the history');
  text(instance, 'an instance in the history');
  return entry as unknown as HistoryEntry;
}

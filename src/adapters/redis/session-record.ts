import type { StoredEvent } from '../../core/event.js';
import type { HistoryEntry, SessionStatus } from '../../core/lifecycle.js';
import type { SessionRecord } from '../../ports/session-store.js';

/** From the flat field, value, field, value … of HGETALL. */
export function toRecord(sessionId: string, status: SessionStatus, flat: readonly string[]): SessionRecord {
  const hash = new Map<string, string>();
  for (let i = 0; i < flat.length; i += 2) hash.set(flat[i] ?? '', flat[i + 1] ?? '');
  const number = (field: string) => Number(hash.get(field) ?? 0);
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
    leaseExpiresAt: status === 'committing' ? number('lease') || undefined : undefined,
    metadata: hash.get('metadata') ?? '{}',
    history: (hash.get('history') ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as HistoryEntry),
  };
}

/** From a list element, `topic json`. */
export function toStoredEvent(element: string, sequence: number): StoredEvent {
  const space = element.indexOf(' ');
  return { topic: element.slice(0, space), sequence, json: element.slice(space + 1) };
}

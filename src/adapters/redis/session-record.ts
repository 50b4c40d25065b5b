import type { StoredEvent, Utf8Range } from '../../core/event.js';
import type { HistoryEntry, SessionStatus } from '../../core/lifecycle.js';
import type { SessionRecord } from '../../ports/session-store.js';
import { RECORD_FIELDS } from './scripts.js';

type RecordField = (typeof RECORD_FIELDS)[number];

export interface RedisSessionRecord extends SessionRecord {
  /** Of an overdue session that was found so, and has not been ended: when it may be. */
  readonly graceUntil?: number | undefined;
}

/** From the values of {@link RECORD_FIELDS}. */
export function toRecord(
  sessionId: string,
  status: SessionStatus,
  values: readonly (string | null)[],
): RedisSessionRecord {
  const hash = new Map(RECORD_FIELDS.map((field, i) => [field, values[i] ?? undefined]));
  const number = (field: RecordField) => Number(hash.get(field) ?? 0);
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
    graceUntil: status === 'expired' ? number('graceUntil') || undefined : undefined,
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

/** From list elements as bytes. The envelopes stay bytes, and become text only if somebody asks for it. */
export function toPage(elements: readonly Buffer[], after: number, maxBytes: number): StoredEvent[] {
  const events: StoredEvent[] = [];
  let topic = '';
  let bytes = 0;
  for (const element of elements) {
    // As a rule the topic is the one of the event before.
    if (element[topic.length] !== SPACE || !startsWith(element, topic)) {
      topic = element.toString('latin1', 0, element.indexOf(SPACE));
    }
    const utf8 = { buffer: element, start: topic.length + 1, end: element.length };
    bytes += utf8.end - utf8.start;
    if (events.length > 0 && bytes > maxBytes) break;
    events.push(new BytesEvent(topic, after + events.length + 1, utf8));
  }
  return events;
}

const SPACE = 0x20;

class BytesEvent implements StoredEvent {
  constructor(
    readonly topic: string,
    readonly sequence: number,
    readonly utf8: Utf8Range,
  ) {}

  get json(): string {
    const { buffer, start, end } = this.utf8;
    return buffer.toString('utf8', start, end);
  }
}

function startsWith(element: Buffer, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (element[i] !== text.charCodeAt(i)) return false;
  return true;
}

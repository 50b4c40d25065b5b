import type { StoredEvent, Utf8Range } from '../../core/event.js';
import type { HistoryEntry, SessionStatus } from '../../core/lifecycle.js';
import type { SessionRecord } from '../../ports/session-store.js';
import { list, object, oneOf, text, unexpected, whole } from './replies.js';
import { RECORD_FIELDS } from './scripts.js';

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
      status === 'expired' && valueFor('graceUntil') !== undefined ? number('graceUntil') : undefined,
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

/** From a list element, `topic json`. */
export function toStoredEvent(reply: unknown, sequence: number): StoredEvent {
  const element = text(reply, eventAt(sequence));
  const space = element.indexOf(' ');
  if (space < 1) throw unexpected(eventAt(sequence), reply);
  return { topic: element.slice(0, space), sequence, json: element.slice(space + 1) };
}

const eventAt = (sequence: number) => `a topic and an event as number ${sequence} of its session`;

/** From list elements as bytes. The envelopes stay bytes, and become text only if somebody asks for it. */
export function toPage(reply: unknown, after: number, limit: number, maxBytes: number): StoredEvent[] {
  const elements = list(reply, 'a page of events');
  if (elements.length > limit) throw unexpected(`at most ${limit} events`, reply);
  const events: StoredEvent[] = [];
  let topic = '';
  let bytes = 0;
  for (const element of elements) {
    const sequence = after + events.length + 1;
    if (!Buffer.isBuffer(element)) throw unexpected(`${eventAt(sequence)}, as bytes`, element);
    // As a rule the topic is the one of the event before.
    if (topic === '' || element[topic.length] !== SPACE || !startsWith(element, topic)) {
      const space = element.indexOf(SPACE);
      if (space < 1) throw unexpected(eventAt(sequence), element);
      topic = element.toString('latin1', 0, space);
    }
    const utf8 = { buffer: element, start: topic.length + 1, end: element.length };
    bytes += utf8.end - utf8.start;
    if (events.length > 0 && bytes > maxBytes) break;
    events.push(new BytesEvent(topic, sequence, utf8));
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

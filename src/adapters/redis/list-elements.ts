import { EventSessionsError } from '../../core/errors.js';
import type { AcceptedEvent, StoredEvent, Utf8Range } from '../../core/event.js';
import type { ReadRange } from '../../ports/session-store.js';
import { list, unexpected } from './replies.js';

/**
 * Bytes. With its position and what Redis puts around it, an element fills a node of a Redis list (8 KiB by default,
 * `list-max-listpack-size -2`), and none of the next larger size class of the allocator. A larger event has an element of
 * its own.
 */
const MAX_ELEMENT_BYTES = 8_160;

export interface Elements {
  readonly texts: readonly string[];
  /** Bytes of UTF-8 of all envelopes. */
  readonly bytes: number;
  /** Bytes of the largest element, without its position. */
  readonly largest: number;
}

/**
 * Events as elements of the list, many in one, if the first of them is at position `first`. JSON text has no line end in
 * it, and neither has a topic.
 */
export function toElements(events: readonly AcceptedEvent[], first: number): Elements {
  const texts: string[] = [];
  let [bytes, largest, size, text] = [0, 0, 0, ''];
  const close = () => {
    texts.push(text);
    if (size > largest) largest = size;
  };
  for (let i = 0; i < events.length; i += 1) {
    const { topic, json } = events[i] as AcceptedEvent;
    const envelope = Buffer.byteLength(json);
    const line = topic.length + 1 + envelope;
    bytes += envelope;
    if (i > 0 && size + 1 + line <= MAX_ELEMENT_BYTES) {
      text += `\n${topic} ${json}`;
      size += 1 + line;
    } else {
      if (i > 0) close();
      [text, size] = [`${first + i} ${topic} ${json}`, line];
    }
  }
  close();
  return { texts, bytes, largest };
}

export interface Page {
  readonly events: readonly StoredEvent[];
  /** The element in which the event behind the last one of the page is, or will be. */
  readonly next: number;
}

/**
 * What of the elements is in the range; `first` is the number of the first one. The envelopes stay bytes, and become text
 * only if somebody asks for it.
 *
 * @throws `SESSION_CORRUPT` when the events are not those that come next.
 */
export function toPage(sessionId: string, reply: unknown, first: number, range: ReadRange): Page {
  const { after, limit, maxBytes } = range;
  const elements = list(reply, 'elements of a list');
  const events: StoredEvent[] = [];
  let [bytes, topic, sequence, next] = [0, '', 0, first];
  for (const element of elements) {
    const buffer = typeof element === 'string' ? Buffer.from(element) : element;
    if (!Buffer.isBuffer(buffer)) throw unexpected(AN_ELEMENT, element);
    const head = buffer.indexOf(SPACE);
    const position = positionIn(buffer, head);
    if (position === 0) throw unexpected(AN_ELEMENT, element);
    if (next === first ? position > after + 1 : position !== sequence + 1)
      throw outOfOrder(sessionId, next === first ? after + 1 : sequence + 1, position);
    sequence = position - 1;
    for (let at = head + 1; at <= buffer.length; ) {
      const newline = buffer.indexOf(NEWLINE, at);
      const end = newline === -1 ? buffer.length : newline;
      if (sequence >= after) {
        // As a rule the topic is the one of the event before.
        if (topic === '' || buffer[at + topic.length] !== SPACE || !startsWith(buffer, at, topic)) {
          const space = buffer.indexOf(SPACE, at);
          if (space <= at || space >= end) throw unexpected(AN_ELEMENT, element);
          topic = buffer.toString('latin1', at, space);
        }
        const start = at + topic.length + 1;
        bytes += end - start;
        if (events.length === limit || (events.length > 0 && bytes > maxBytes)) return { events, next };
        events.push(new BytesEvent(topic, sequence + 1, buffer, start, end));
      }
      sequence += 1;
      at = end + 1;
    }
    next += 1;
  }
  return { events, next };
}

const AN_ELEMENT = 'a position, and topics and events';
const SPACE = 0x20;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/** The number before `end`, 0 if there is none. */
function positionIn(buffer: Buffer, end: number): number {
  if (end > 10) return 0;
  let position = 0;
  for (let at = 0; at < end; at += 1) {
    const digit = (buffer[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return 0;
    position = position * 10 + digit;
  }
  return position;
}

/** An event and its range in one: there is one for each event of a commit. */
class BytesEvent implements StoredEvent, Utf8Range {
  /** V8 throws the code that it has optimized for a class away when it finds no object of it alive. */
  static readonly kept = new BytesEvent('', 0, Buffer.alloc(0), 0, 0);

  constructor(
    readonly topic: string,
    readonly sequence: number,
    readonly buffer: Buffer,
    readonly start: number,
    readonly end: number,
  ) {}

  get utf8(): Utf8Range {
    return this;
  }

  get json(): string {
    return this.buffer.toString('utf8', this.start, this.end);
  }
}

function startsWith(buffer: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (buffer[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function outOfOrder(sessionId: string, expected: number, actual: number): EventSessionsError {
  const message = `Session ${sessionId} should have event ${expected} in its list where event ${actual} is`;
  return new EventSessionsError('SESSION_CORRUPT', message, { sessionId, expected, actual });
}

import type { Utf8Range } from '../../core/event.js';
import type { EventAddedRecord, EventUnpublishedRecord } from '../../ports/contingency-log.js';

/** A record as it stands on its line, and its place in the append that it came with. */
export interface EventLine {
  readonly record: EventAddedRecord | EventUnpublishedRecord;
  readonly part: number;
  readonly parts: number;
}

/**
 * An intact line of an event, if its head is just as this library writes it; undefined for any other, which may yet be a
 * record. Neither the head nor the event is parsed as JSON, and the event stays bytes: a recovery reads very many of
 * these. `end` is where the member `crc` begins.
 */
export function decodeEventLine(line: Buffer, end: number): EventLine | undefined {
  const head = new Head(line);
  if (!head.skips('{"v":1,"kind":"event.')) return undefined;
  const isAdded = head.skips('added"');
  if (!isAdded && !head.skips('unpublished"')) return undefined;
  if (!head.skips(',"sessionId":"')) return undefined;
  const sessionId = head.word(last.sessionId);
  if (sessionId === undefined || !head.skips(',"at":')) return undefined;
  const at = head.number();
  let part: number | undefined = 1;
  let parts: number | undefined = 1;
  if (head.skips(',"part":')) {
    part = head.number();
    if (!head.skips(',"parts":')) return undefined;
    parts = head.number();
  }
  if (!part || !parts || part > parts || !head.skips(',"topic":"')) return undefined;
  const topic = head.word(last.topic);
  if (at === undefined || topic === undefined) return undefined;
  last.sessionId = sessionId;
  last.topic = topic;
  if (isAdded) {
    const utf8 = head.rest(end);
    return utf8 && { record: new AddedRecord(sessionId, at, topic, utf8), part, parts };
  }
  if (!head.skips(',"sequence":')) return undefined;
  const sequence = head.number();
  let outcome: Outcome;
  if (head.skips(',"outcome":"unknown"')) outcome = 'unknown';
  else if (head.skips(',"outcome":"refused"')) outcome = 'refused';
  const utf8 = head.rest(end);
  if (sequence === undefined || utf8 === undefined) return undefined;
  return { record: new UnpublishedRecord(sessionId, at, topic, utf8, sequence, outcome), part, parts };
}

/** As a rule they are those of the line before. */
const last = { sessionId: '', topic: '' };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
/** So many digits always make a safe integer. */
const MAX_DIGITS = 15;

class Head {
  private at = 0;
  constructor(private readonly line: Buffer) {}

  skips(text: string): boolean {
    const { line, at } = this;
    for (let i = 0; i < text.length; i += 1) if (line[at + i] !== text.charCodeAt(i)) return false;
    this.at += text.length;
    return true;
  }

  /** Undefined if there is none, or not as JSON has them. */
  number(): number | undefined {
    const { line, at } = this;
    let value = 0;
    for (let digits = 0; digits <= MAX_DIGITS; digits += 1) {
      const digit = (line[at + digits] as number) - ZERO;
      if (digit >= 0 && digit <= 9 && (digits === 0 || value > 0)) {
        value = value * 10 + digit;
        continue;
      }
      this.at += digits;
      return digits === 0 ? undefined : value;
    }
    return undefined;
  }

  /** Up to its quotation mark: plain ASCII without escapes. */
  word(expected: string): string | undefined {
    const { line, at } = this;
    if (line[at + expected.length] === QUOTE && this.skips(expected)) {
      this.at += 1;
      return expected;
    }
    let end = at;
    for (let byte = line[end] as number; byte !== QUOTE; byte = line[end] as number) {
      if (!(byte >= 0x20 && byte < 0x7f) || byte === BACKSLASH) return undefined;
      end += 1;
    }
    this.at = end + 1;
    return line.toString('latin1', at, end);
  }

  /** The event, if it is what comes now. */
  rest(end: number): Utf8Range | undefined {
    return this.skips(',"event":{') ? { buffer: this.line, start: this.at - 1, end } : undefined;
  }
}

abstract class BytesRecord {
  constructor(
    readonly sessionId: string,
    readonly at: number,
    readonly topic: string,
    readonly utf8: Utf8Range,
  ) {}

  get event(): string {
    const { buffer, start, end } = this.utf8;
    return buffer.toString('utf8', start, end);
  }
}

class AddedRecord extends BytesRecord implements EventAddedRecord {
  readonly kind = 'event.added';
}

class UnpublishedRecord extends BytesRecord implements EventUnpublishedRecord {
  readonly kind = 'event.unpublished';
  declare readonly outcome?: Outcome;
  constructor(
    sessionId: string,
    at: number,
    topic: string,
    utf8: Utf8Range,
    readonly sequence: number,
    outcome: Outcome,
  ) {
    super(sessionId, at, topic, utf8);
    if (outcome !== undefined) this.outcome = outcome;
  }
}

type Outcome = EventUnpublishedRecord['outcome'];

import type { Utf8Range } from '../../core/event.js';
import type { EventAddedRecord, EventUnpublishedRecord } from '../../ports/contingency-log.js';

/** A record as it stands on its line, and its place in the append that it came with. */
export interface EventLine {
  readonly record: EventAddedRecord | EventUnpublishedRecord;
  readonly part: number;
  readonly parts: number;
}

const ADDED = Buffer.from('{"v":1,"kind":"event.added","sessionId":"');
const UNPUBLISHED = Buffer.from('{"v":1,"kind":"event.unpublished","sessionId":"');
const AT = Buffer.from('","at":');
const PART = Buffer.from(',"part":');
const PARTS = Buffer.from(',"parts":');
const TOPIC = Buffer.from(',"topic":"');
const SEQUENCE = Buffer.from('","sequence":');
const UNKNOWN = Buffer.from(',"outcome":"unknown"');
const REFUSED = Buffer.from(',"outcome":"refused"');
const EVENT_OF_ADDED = Buffer.from('","event":{');
const EVENT = Buffer.from(',"event":{');

/**
 * An intact line of an event, if its head is just as this library writes it; undefined for any other, which may yet be a
 * record. Neither the head nor the event is made text or parsed as JSON, and the event stays bytes: a recovery reads very
 * many of these. `end` is where the member `crc` begins.
 */
export function decodeEventLine(line: Buffer, end: number): EventLine | undefined {
  const head = new Head(line);
  const isOwed = head.skip(UNPUBLISHED);
  if (!isOwed && !head.skip(ADDED)) return undefined;
  const sessionId = head.word(lastSessionId);
  if (!head.skip(AT)) return undefined;
  const at = head.number();
  const inParts = head.skip(PART);
  const part = inParts ? head.number() : 1;
  if (inParts && !head.skip(PARTS)) return undefined;
  const parts = inParts ? head.number() : 1;
  if (!head.skip(TOPIC)) return undefined;
  const topic = head.word(lastTopic);
  if (isOwed && !head.skip(SEQUENCE)) return undefined;
  const sequence = isOwed ? head.number() : 0;
  const outcome = head.skip(UNKNOWN) ? 'unknown' : head.skip(REFUSED) ? 'refused' : undefined;
  if (!head.skip(isOwed ? EVENT : EVENT_OF_ADDED) || head.isStrange) return undefined;
  if (part < 1 || part > parts) return undefined;
  const utf8 = { buffer: line, start: head.at - 1, end };
  const record = isOwed
    ? new UnpublishedRecord(sessionId, at, topic, utf8, sequence, outcome)
    : new AddedRecord(sessionId, at, topic, utf8);
  return { record, part, parts };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
/** So that a number is a safe integer. */
const MAX_DIGITS = 15;
/** An id of a session has up to 128, a topic up to 74. */
const MAX_WORD = 128;

/** A word of a line before: as a rule the next one has the same. It holds on to no line. */
interface LastWord {
  text: string;
  bytes: Buffer;
}
const lastSessionId: LastWord = { text: '', bytes: Buffer.alloc(0) };
const lastTopic: LastWord = { text: '', bytes: Buffer.alloc(0) };

/** Reads a line from its beginning. */
class Head {
  /** V8 throws the code that it has optimized for a class away when it finds no object of it alive. */
  static readonly kept = new Head(Buffer.alloc(0));

  at = 0;
  /** A number or a word was not written as this library writes it. */
  isStrange = false;

  constructor(readonly line: Buffer) {}

  /** Whether these bytes come next; then it is behind them. */
  skip(bytes: Buffer): boolean {
    const { line, at } = this;
    for (let i = 0; i < bytes.length; i += 1) if (line[at + i] !== bytes[i]) return false;
    this.at = at + bytes.length;
    return true;
  }

  /** A whole number without zeros before it. */
  number(): number {
    const { line, at } = this;
    let value = 0;
    let next = at;
    for (; next - at <= MAX_DIGITS; next += 1) {
      const digit = (line[next] as number) - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    const digits = next - at;
    if (digits === 0 || digits > MAX_DIGITS || (digits > 1 && line[at] === ZERO)) this.isStrange = true;
    this.at = next;
    return value;
  }

  /** Up to the quotation mark. */
  word(last: LastWord): string {
    const { line, at } = this;
    if (!this.skip(last.bytes) || line[this.at] !== QUOTE) {
      this.at = at;
      while (this.at - at <= MAX_WORD && isPlain(line[this.at])) this.at += 1;
      if (this.at - at > MAX_WORD) this.isStrange = true;
      else last.bytes = Buffer.from(line.subarray(at, this.at));
      last.text = last.bytes.toString('latin1');
    }
    return last.text;
  }
}

/** Printable ASCII that needs no escape in JSON. */
function isPlain(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x20 && byte < 0x7f && byte !== QUOTE && byte !== BACKSLASH;
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

const NO_BYTES: Utf8Range = { buffer: Buffer.alloc(0), start: 0, end: 0 };

/** V8 throws the code that it has optimized for a class away when it finds no object of it alive: so each keeps one. */
class AddedRecord extends BytesRecord implements EventAddedRecord {
  static readonly kept = new AddedRecord('', 0, '', NO_BYTES);
  readonly kind = 'event.added';
}

class UnpublishedRecord extends BytesRecord implements EventUnpublishedRecord {
  static readonly kept = new UnpublishedRecord('', 0, '', NO_BYTES, 0, undefined);
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

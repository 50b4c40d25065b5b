import type { Utf8Range } from '../../core/event.js';
import type { EventAddedRecord, EventUnpublishedRecord } from '../../ports/contingency-log.js';

/** A record as it stands on its line, and its place in the append that it came with. */
export interface EventLine {
  readonly record: EventAddedRecord | EventUnpublishedRecord;
  readonly part: number;
  readonly parts: number;
}

/** Numbers that are safe integers, and words of plain ASCII without escapes. */
const NUMBER = '(0|[1-9]\\d{0,14})';
const WORD = '"([ !#-[\\]-~]*)"';
const HEAD = new RegExp(
  `^\\{"v":1,"kind":"event\\.(added|unpublished)","sessionId":${WORD},"at":${NUMBER}` +
    `(?:,"part":${NUMBER},"parts":${NUMBER})?,"topic":${WORD}` +
    `(?:,"sequence":${NUMBER}(?:,"outcome":"(unknown|refused)")?)?,"event":(?=\\{)`,
);
/** More than the head of any line that this library writes: 128 characters of an id, 64 of a topic, numbers. */
const HEAD_BYTES = 512;

/**
 * An intact line of an event, if its head is just as this library writes it; undefined for any other, which may yet be a
 * record. Neither the head nor the event is parsed as JSON, and the event stays bytes: a recovery reads very many of
 * these. `end` is where the member `crc` begins.
 */
export function decodeEventLine(line: Buffer, end: number): EventLine | undefined {
  const found = HEAD.exec(line.toString('latin1', 0, Math.min(end, HEAD_BYTES)));
  if (found === null) return undefined;
  const [head, kind, id, time, partText = '1', partsText = '1', topicText, sequence, outcome] = found;
  const part = Number(partText);
  const parts = Number(partsText);
  if (part < 1 || part > parts || (kind === 'added') !== (sequence === undefined)) return undefined;
  const sessionId = ownSessionId(id as string);
  const topic = ownTopic(topicText as string);
  const at = Number(time);
  const utf8 = { buffer: line, start: head.length, end };
  const record =
    sequence === undefined
      ? new AddedRecord(sessionId, at, topic, utf8)
      : new UnpublishedRecord(sessionId, at, topic, utf8, Number(sequence), outcome as Outcome);
  return { record, part, parts };
}

const ownSessionId = ownWord();
const ownTopic = ownWord();

/** A word that no longer holds on to the text it was found in. As a rule it is the one before. */
function ownWord(): (word: string) => string {
  let last = '';
  return (word) => {
    if (word !== last) last = Buffer.from(word, 'latin1').toString('latin1');
    return last;
  };
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

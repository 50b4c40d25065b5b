import { isUtf8 } from 'node:buffer';
import { EventSessionsError } from '../../core/errors.js';
import { isEnvelope } from '../../core/event.js';
import { quoted } from '../../core/plain-json.js';
import { describe } from '../../core/validate.js';
import type { ContingencyRecord, QuarantinedEntry } from '../../ports/contingency-log.js';
import { CRC_MEMBER, checkedLine, isIntact } from './checksum.js';
import { decodeEventLine } from './event-line.js';
import { MAX_LINE_BYTES } from './lines.js';

/**
 * One record as one line of JSON, for machines and for `jq`:
 *
 * ```text
 * {"v":1,"kind":"event.added","sessionId":"s-1","at":1767225600000,"topic":"order.placed","event":{…},"crc":"1c291ca3"}
 * ```
 *
 * - A newline stands before **and** behind each line. So what a torn write or a damaged newline leaves behind can
 *   never be glued to a neighbour, whichever process wrote it.
 * - `crc` is the CRC-32 of the line's bytes without the member `crc`, in eight hexadecimal digits.
 * - `event` and `metadata` are embedded as they are, last before `crc`, and cut out again as they are: not a byte of
 *   the text changes. Text that can't stand on a line (not a JSON object, raw newlines, lone surrogates) is embedded
 *   as a JSON string instead.
 * - Records that were appended together carry `part` and `parts`: see whole-appends.ts.
 */
const VERSION = 1;
const OPENS_EVENT = Buffer.from(',"event":{');
const OPENS_METADATA = Buffer.from(',"metadata":{');

export interface Decoded {
  readonly record: ContingencyRecord;
  readonly part: number;
  readonly parts: number;
}
export interface Undecodable {
  readonly reason: string;
}

/**
 * @throws `INVALID_INPUT` if it isn't a record (it could not be read back), `CONTINGENCY_FAILED` if its line would
 * be longer than {@link MAX_LINE_BYTES}
 */
export function encodeRecord(record: ContingencyRecord, part = 1, parts = 1): Buffer {
  const mistake = mistakeIn(record);
  if (mistake !== undefined) throw new EventSessionsError('INVALID_INPUT', `contingency record: ${mistake}`);
  const { kind, sessionId, at } = record;
  const place = parts > 1 ? `,"part":${part},"parts":${parts}` : '';
  const head = `{"v":${VERSION},"kind":"${kind}","sessionId":${quoted(sessionId)},"at":${at}${place}`;
  const line = checkedLine(head + ownMembers(record));
  if (line.length - 2 > MAX_LINE_BYTES) {
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `a contingency record of ${line.length} bytes is longer than the ${MAX_LINE_BYTES} that a line may have`,
      { sessionId, limit: MAX_LINE_BYTES, actual: line.length },
    );
  }
  return line;
}

/** The lines of records that are appended together; throws as {@link encodeRecord}. */
export function encodeRecords(records: readonly ContingencyRecord[]): Buffer {
  const [first] = records;
  if (records.length === 1 && first !== undefined) return encodeRecord(first);
  return Buffer.concat(records.map((record, i) => encodeRecord(record, i + 1, records.length)));
}

/** A line without its newline. Its checksum being right, what is embedded is as it was written, and is not parsed. */
export function decodeRecord(line: Buffer): Decoded | Undecodable {
  const intact = isIntact(line);
  const event = intact ? decodeEventLine(line, line.length - CRC_MEMBER.length) : undefined;
  if (event !== undefined) return event;
  const embedded = intact ? embeddedIn(line) : undefined;
  let fields: unknown;
  try {
    fields = JSON.parse(
      embedded === undefined ? line.toString('utf8') : `${line.toString('utf8', 0, embedded.at)}}`,
    );
  } catch {
    return { reason: 'not JSON' };
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    return { reason: 'not a JSON object' };
  const values = fields as Record<string, unknown>;
  const { v, kind, part = 1, parts = 1 } = values;
  if (v !== VERSION) return { reason: `unknown version ${describe(v)}` };
  if (!intact) return { reason: 'the checksum does not match' };
  if (embedded !== undefined)
    values[embedded.name] = line.toString('utf8', embedded.from, line.length - CRC_MEMBER.length);
  const mistake = mistakeIn(values);
  if (mistake !== undefined) return { reason: mistake };
  if (!isCount(part) || !isCount(parts) || part > parts)
    return { reason: 'part: expected a number up to parts' };
  return { record: ownFields(kind, values), part, parts };
}

interface Embedded {
  readonly name: 'event' | 'metadata';
  /** Where the member begins, with its comma. */
  readonly at: number;
  /** Where the object begins. */
  readonly from: number;
}

/** The first one is the real one: what stands before it are numbers, and strings in which each quotation mark is escaped. */
function embeddedIn(line: Buffer): Embedded | undefined {
  const event = line.indexOf(OPENS_EVENT);
  const metadata = (event === -1 ? line : line.subarray(0, event)).indexOf(OPENS_METADATA);
  if (metadata !== -1) return { name: 'metadata', at: metadata, from: metadata + OPENS_METADATA.length - 1 };
  return event === -1 ? undefined : { name: 'event', at: event, from: event + OPENS_EVENT.length - 1 };
}

/**
 * Whether the line goes to its end, readable or not: a torn one lacks the member `crc`. One byte may be damaged, or
 * be too many where the newline was.
 */
export function reachesItsEnd(line: Buffer): boolean {
  return [0, 1].some((surplus) => {
    const tail = line
      .subarray(line.length - CRC_MEMBER.length - surplus, line.length - surplus)
      .toString('latin1');
    if (tail.length !== CRC_MEMBER.length) return false;
    const differing = [...CRC_MEMBER].filter((expected, i) => expected !== '.' && expected !== tail[i]);
    return differing.length <= 1;
  });
}

/** A line for people: when, why, and either the record (as it is in the log, with its own `crc`) or the unreadable text. */
export function encodeQuarantined(entry: QuarantinedEntry, at: number): Buffer {
  const head = JSON.stringify({ v: VERSION, at, reason: entry.reason }).slice(0, -1);
  const body =
    'record' in entry
      ? `"record":${encodeRecord(entry.record).toString('utf8').trim()}`
      : `"unreadable":${JSON.stringify(entry.unreadable)}`;
  return Buffer.from(`\n${head},${body}}\n`);
}

/** The bytes as text; what isn't UTF-8 comes as `base64:…`, so that nothing of it is lost. */
export function textOf(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : `base64:${bytes.toString('base64')}`;
}

/** The members of its kind, what is embedded last. */
function ownMembers(record: ContingencyRecord): string {
  switch (record.kind) {
    case 'session.started':
      return `,"ttlMs":${record.ttlMs},"metadata":${embeddable(record.metadata)}`;
    case 'event.added':
      return `,"topic":${quoted(record.topic)},"event":${embeddable(record.event)}`;
    case 'event.unpublished': {
      const outcome = record.outcome === undefined ? '' : `,"outcome":"${record.outcome}"`;
      return `,"topic":${quoted(record.topic)},"sequence":${record.sequence}${outcome},"event":${embeddable(record.event)}`;
    }
    case 'session.commit_requested': {
      const expected =
        record.expectedEvents === undefined ? '' : `,"expectedEvents":${record.expectedEvents}`;
      const begun = record.begun === undefined ? '' : ',"begun":true';
      return `,"attemptId":${quoted(record.attemptId)}${begun}${expected}`;
    }
    case 'session.rollback_requested':
      return record.reason === undefined ? '' : `,"reason":${quoted(record.reason)}`;
  }
}

/** An envelope is written by this library, and is not parsed to see that it is JSON. */
function embeddable(text: string): string {
  const couldStand = text.startsWith('{') && !text.includes('\n') && text.isWellFormed();
  return couldStand && (isEnvelope(text) || isJson(text)) ? text : JSON.stringify(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
const optional = (check: (value: unknown) => boolean) => (value: unknown) =>
  value === undefined || check(value);

const COMMON = { sessionId: isText, at: isNumber };
type Check = (value: unknown) => boolean;
const FIELDS: Readonly<Record<ContingencyRecord['kind'], Readonly<Record<string, Check>>>> = {
  'session.started': { ...COMMON, metadata: isText, ttlMs: isNumber },
  'event.added': { ...COMMON, topic: isText, event: isText },
  'event.unpublished': {
    ...COMMON,
    topic: isText,
    sequence: isNumber,
    outcome: optional((value) => value === 'unknown' || value === 'refused'),
    event: isText,
  },
  'session.commit_requested': {
    ...COMMON,
    attemptId: isText,
    begun: optional((value) => value === true),
    expectedEvents: optional(isNumber),
  },
  'session.rollback_requested': { ...COMMON, reason: optional(isText) },
};

interface Field {
  readonly name: string;
  readonly isRight: Check;
}

const FIELDS_OF: ReadonlyMap<unknown, readonly Field[]> = new Map(
  Object.entries(FIELDS).map(([kind, checks]) => [
    kind,
    Object.entries(checks).map(([name, isRight]) => ({ name, isRight })),
  ]),
);

/** What a record of its kind does not have would stand in the way of writing it down again. */
function ownFields(kind: unknown, values: Readonly<Record<string, unknown>>): ContingencyRecord {
  const record: Record<string, unknown> = { kind };
  for (const { name } of FIELDS_OF.get(kind) ?? []) {
    const value = values[name];
    if (value !== undefined) record[name] = value;
  }
  return record as unknown as ContingencyRecord;
}

function mistakeIn(record: object): string | undefined {
  const values = record as Readonly<Record<string, unknown>>;
  const fields = FIELDS_OF.get(values.kind);
  if (fields === undefined) return `unknown kind ${describe(values.kind)}`;
  for (const { name, isRight } of fields) {
    if (!isRight(values[name])) return `${name}: missing or of the wrong type`;
  }
  return undefined;
}

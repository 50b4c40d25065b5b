/**
 * The event envelope: CloudEvents 1.0 in JSON, written by hand once, at `add`, and carried as that text from then on.
 *
 * The layout is fixed so that no later step needs to parse it: `id` comes right after `specversion`, `data` comes
 * last. Only `sequence` is missing; the store decides it, and {@link withSequence} splices it in. Attribute values
 * before `data` are JSON strings, numbers or booleans, in which a quotation mark is always escaped. So the first
 * occurrence of the marker before `data` is the real one.
 */

import { EventSessionsError } from './errors.js';
import { quoted } from './plain-json.js';
import { isId, isIdIn } from './validate.js';

export type ExtensionValue = string | number | boolean;

/** A CloudEvents 1.0 event as a consumer receives it. `sessionid` and `sequence` are extension attributes. */
export interface CloudEvent<Data = unknown> {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: Data;
  readonly subject?: string;
  /** The session that the event was added to. */
  readonly sessionid: string;
  /**
   * Position in the session, from 1, zero-padded to ten digits so that it sorts as text (CloudEvents extension
   * "Sequence").
   */
  readonly sequence: string;
  readonly [extension: string]: unknown;
}

/** An event on its way into a session: checked and encoded, without a position yet. */
export interface AcceptedEvent {
  readonly id: string;
  readonly topic: string;
  /** The CloudEvents JSON without `sequence`. */
  readonly json: string;
}

/** An event at its position in a session. */
export interface StoredEvent {
  readonly topic: string;
  /** Position in the session, from 1. */
  readonly sequence: number;
  /** The CloudEvents JSON without `sequence`. */
  readonly json: string;
  /** The same JSON in UTF-8, if the store has read it as bytes: so it need not be encoded again to be sent. */
  readonly utf8?: Utf8Range | undefined;
}

/** A part of a buffer that others share. It must not be changed. */
export interface Utf8Range {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** W3C Trace Context, as the CloudEvents extension "Distributed Tracing" carries it. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

export interface EnvelopeAttributes {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string;
  readonly sessionId: string;
  readonly subject?: string | undefined;
  readonly extensions?: Readonly<Record<string, ExtensionValue>> | undefined;
}

const BEGINNING_TEXT = '{"specversion":"1.0","id":"';
const BEGINNING = Buffer.from(BEGINNING_TEXT);
const ID_START = BEGINNING.length;
const CLOSING_BRACE = 0x7d;
const QUOTE = 0x22;
const DATA_MARKER = '"datacontenttype":"application/json","data":';
const SEQUENCE_DIGITS = 10;

/** In the place of the last brace of an envelope: the sequence 0 and the brace. */
const SEQUENCE_TAIL = Buffer.from(`,"sequence":"${'0'.repeat(SEQUENCE_DIGITS)}"}`);

/** Bytes that {@link withSequence} adds to an envelope. */
export const SEQUENCE_BYTES = SEQUENCE_TAIL.length - 1;

/**
 * `data` must already be JSON text; `id` and `sessionId` must be plain identifiers (no character that JSON escapes).
 */
export function encodeEnvelope(attributes: EnvelopeAttributes, data: string): string {
  const { id, source, type, time, sessionId, subject, extensions } = attributes;
  let json = `${BEGINNING_TEXT}${id}${shared(source, type, time)}${sessionId}",`;
  if (subject !== undefined) json += `"subject":${JSON.stringify(subject)},`;
  for (const name in extensions) json += `"${name}":${JSON.stringify(extensions[name])},`;
  return `${json}${DATA_MARKER}${data}}`;
}

let last = { source: '', type: '', time: '', text: '' };

/** What events that are added at the same time have in common, written once for all of them. */
function shared(source: string, type: string, time: string): string {
  if (last.time !== time || last.type !== type || last.source !== source) {
    // Joined, so that it is one text, and not the pieces that would have to be put together each time.
    const pieces = [
      '","source":',
      quoted(source),
      ',"type":',
      quoted(type),
      ',"time":"',
      time,
      '","sessionid":"',
    ];
    last = { source, type, time, text: pieces.join('') };
  }
  return last.text;
}

export function withSequence(json: string, sequence: number): string {
  return `${json.slice(0, -1)},"sequence":"${String(sequence).padStart(SEQUENCE_DIGITS, '0')}"}`;
}

/** How many bytes {@link writeWithSequence} writes. */
export function sizeWithSequence(event: StoredEvent): number {
  const { utf8 } = event;
  return (utf8 === undefined ? Buffer.byteLength(event.json) : utf8.end - utf8.start) + SEQUENCE_BYTES;
}

/** {@link withSequence} in UTF-8, into `target`. Answers the position behind it. */
export function writeWithSequence(event: StoredEvent, target: Buffer, at: number): number {
  const { utf8, sequence } = event;
  const bytes =
    utf8 === undefined ? target.write(event.json, at) : utf8.buffer.copy(target, at, utf8.start, utf8.end);
  const end = at + bytes - 1 + SEQUENCE_TAIL.length;
  target.set(SEQUENCE_TAIL, at + bytes - 1);
  let rest = sequence;
  for (let digit = end - 3; rest > 0; digit -= 1) {
    const tens = Math.floor(rest / 10);
    target[digit] = 48 + rest - tens * 10;
    rest = tens;
  }
  return end;
}

export function eventIdOf(envelope: string | Utf8Range): string {
  if (typeof envelope === 'string') return envelope.slice(ID_START, envelope.indexOf('"', ID_START));
  const { buffer, start } = envelope;
  return buffer.toString('utf8', start + ID_START, endOfId(envelope));
}

/** Whether its id keeps to the rules: what others may have written is not trusted. */
export function hasSoundId(envelope: string | Utf8Range): boolean {
  if (typeof envelope === 'string') return isId(eventIdOf(envelope));
  return isIdIn(envelope.buffer, envelope.start + ID_START, endOfId(envelope));
}

function endOfId({ buffer, start, end }: Utf8Range): number {
  let quote = start + ID_START;
  while (quote < end && buffer[quote] !== QUOTE) quote += 1;
  return quote;
}

/** The text of `data` alone, from an envelope without its sequence. */
export function dataOf(json: string): string {
  return json.slice(json.indexOf(DATA_MARKER) + DATA_MARKER.length, -1);
}

// W3C Trace Context, sections 3.2 and 3.3: every party has to carry a tracestate of 512 characters.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[ -~]{1,512}$/;
/** In the attributes, where the quotation marks of values are escaped. */
const TRACEPARENT_ATTRIBUTE = /,"traceparent":"([0-9a-f-]{55})"/;

export function isTraceContext({ traceparent, tracestate }: TraceContext): boolean {
  return (
    typeof traceparent === 'string' &&
    TRACEPARENT.test(traceparent) &&
    (tracestate === undefined || (typeof tracestate === 'string' && TRACESTATE.test(tracestate)))
  );
}

/** The `traceparent` of an event, if it has a sound one. What was read as bytes is not made text for it. */
export function traceparentOf(event: StoredEvent): string | undefined {
  const [, found] = TRACEPARENT_ATTRIBUTE.exec(attributesOf(event)) ?? [];
  return found !== undefined && TRACEPARENT.test(found) ? found : undefined;
}

/** What stands before `data`. Characters beyond ASCII may be wrong in it. */
function attributesOf(event: StoredEvent): string {
  const { utf8 } = event;
  if (utf8 === undefined) return event.json.slice(0, event.json.indexOf(DATA_MARKER));
  return utf8.buffer.toString('latin1', utf8.start, utf8.buffer.indexOf(DATA_MARKER, utf8.start));
}

export function decodeEvent<Data = unknown>(event: StoredEvent): CloudEvent<Data> {
  return JSON.parse(withSequence(event.json, event.sequence)) as CloudEvent<Data>;
}

/**
 * Whether it begins and ends as an envelope: others may have written into the store. What is in between is not looked
 * at, so that a commit need not parse what it carries.
 */
export function isEnvelope(json: string | Utf8Range): boolean {
  if (typeof json === 'string') return json.startsWith(BEGINNING_TEXT) && json.endsWith('}');
  const { buffer, start, end } = json;
  if (end - start <= ID_START || buffer[end - 1] !== CLOSING_BRACE) return false;
  // A call of `compare` takes longer.
  for (let i = 0; i < ID_START; i += 1) if (buffer[start + i] !== BEGINNING[i]) return false;
  return true;
}

export function corruptEvent(sessionId: string, sequence: number, cause?: unknown): EventSessionsError {
  const message =
    `What the store has as event ${sequence} of session ${sessionId} is no event. ` +
    'Has somebody changed it?';
  return new EventSessionsError('SESSION_CORRUPT', message, { sessionId, sequence }, cause);
}

/**
 * The event envelope: CloudEvents 1.0 in JSON, written by hand once, at `add`, and carried as that text from then on.
 *
 * The layout is fixed so that no later step needs to parse it: `id` comes right after `specversion`, `data` comes
 * last. Only `sequence` is missing; the store decides it, and {@link withSequence} splices it in. Attribute values
 * before `data` are JSON strings, numbers or booleans, in which a quotation mark is always escaped. So the first
 * occurrence of the marker before `data` is the real one.
 */

export type ExtensionValue = string | number | boolean;

/** A CloudEvents 1.0 event as a consumer gets it. `sessionid` and `sequence` are extension attributes. */
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
  /** Position in the session, from 1, zero-padded to ten digits so that it sorts as text (CloudEvents "Sequence" extension). */
  readonly sequence: string;
  readonly [extension: string]: unknown;
}

/** An event on its way into a session: checked, encoded once, not yet given its place. */
export interface AcceptedEvent {
  readonly id: string;
  readonly topic: string;
  /** The CloudEvents JSON without `sequence`. */
  readonly json: string;
}

/** An event at its place in a session. */
export interface StoredEvent {
  readonly topic: string;
  /** Position in the session, from 1. */
  readonly sequence: number;
  /** The CloudEvents JSON without `sequence`. */
  readonly json: string;
  /** The same JSON in UTF-8, if the store has read it as bytes: what is sent as bytes need not be encoded again. */
  readonly utf8?: Utf8Range | undefined;
}

/** A part of a buffer that others share: it is not to be changed. */
export interface Utf8Range {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
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

const ID_START = '{"specversion":"1.0","id":"'.length;
const DATA_MARKER = '"datacontenttype":"application/json","data":';
const SEQUENCE_DIGITS = 10;

/** In the place of the last brace of an envelope: the sequence 0 and the brace. */
const SEQUENCE_TAIL = Buffer.from(`,"sequence":"${'0'.repeat(SEQUENCE_DIGITS)}"}`);

/** Bytes that {@link withSequence} adds to an envelope. */
export const SEQUENCE_BYTES = SEQUENCE_TAIL.length - 1;

/** `data` must already be JSON text; `id` and `sessionId` must be plain identifiers (no character that JSON escapes). */
export function encodeEnvelope(attributes: EnvelopeAttributes, data: string): string {
  const { id, source, type, time, sessionId, subject, extensions } = attributes;
  let json =
    `{"specversion":"1.0","id":"${id}","source":${JSON.stringify(source)},"type":${JSON.stringify(type)}` +
    `,"time":"${time}","sessionid":"${sessionId}",`;
  if (subject !== undefined) json += `"subject":${JSON.stringify(subject)},`;
  for (const name in extensions) json += `"${name}":${JSON.stringify(extensions[name])},`;
  return `${json}${DATA_MARKER}${data}}`;
}

export function withSequence(json: string, sequence: number): string {
  return `${json.slice(0, -1)},"sequence":"${String(sequence).padStart(SEQUENCE_DIGITS, '0')}"}`;
}

/** How many bytes {@link writeWithSequence} writes. */
export function sizeWithSequence({ json, utf8 }: StoredEvent): number {
  return (utf8 === undefined ? Buffer.byteLength(json) : utf8.end - utf8.start) + SEQUENCE_BYTES;
}

/** {@link withSequence} in UTF-8, into `target`. Answers the position behind it. */
export function writeWithSequence({ json, utf8, sequence }: StoredEvent, target: Buffer, at: number): number {
  const bytes =
    utf8 === undefined ? target.write(json, at) : utf8.buffer.copy(target, at, utf8.start, utf8.end);
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

export function eventIdOf(json: string): string {
  return json.slice(ID_START, json.indexOf('"', ID_START));
}

/** The text of `data` alone, from an envelope without its sequence. */
export function dataOf(json: string): string {
  return json.slice(json.indexOf(DATA_MARKER) + DATA_MARKER.length, -1);
}

export function decodeEvent<Data = unknown>(event: StoredEvent): CloudEvent<Data> {
  return JSON.parse(withSequence(event.json, event.sequence)) as CloudEvent<Data>;
}

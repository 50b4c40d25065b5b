import { dataOf, type StoredEvent, withSequence } from './event.js';

/** Turns an event into the body of a message. What it throws, or answers instead of a body, refuses the event for good. */
export interface Codec {
  readonly contentType: string;
  encode(event: StoredEvent): string | Uint8Array;
  /** The most bytes that a body can be larger than the event's CloudEvents JSON with `sequence`. Default 0. */
  readonly overheadBytes?: number | undefined;
}

/** The whole event: CloudEvents 1.0, JSON format, structured mode. The default. */
export function cloudEvents(): Codec {
  return {
    contentType: 'application/cloudevents+json',
    encode: encodeCloudEvent,
  };
}

const encodeCloudEvent: Codec['encode'] = (event) => withSequence(event.json, event.sequence);

/** Whether what the codec makes of an event is what `writeWithSequence` writes: then no text need be made. */
export function encodesCloudEvents(codec: Codec): boolean {
  return codec.encode === encodeCloudEvent;
}

/**
 * The bare `data`, for consumers that know nothing of CloudEvents (a nest-nsq-transport consumer with its JSON
 * deserializer). Ids, `sessionid` and `sequence` do not reach them: they cannot de-duplicate or order.
 */
export function json(): Codec {
  return {
    contentType: 'application/json',
    encode: (event) => dataOf(event.json),
  };
}

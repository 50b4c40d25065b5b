import { dataOf, type StoredEvent, withSequence } from './event.js';

/**
 * Turns an event into the body of a message. If `encode` throws, or returns neither text nor bytes, the event is refused
 * for good.
 */
export interface Codec {
  /** The media type of the bodies. Named in errors; NSQ has no place for it. */
  readonly contentType: string;
  encode(event: StoredEvent): string | Uint8Array;
  /** By how many bytes a body may be larger than the event's CloudEvents JSON with `sequence`. Default 0. */
  readonly overheadBytes?: number | undefined;
}

/** The whole event, as CloudEvents 1.0 in JSON, structured mode. The default. */
export function cloudEvents(): Codec {
  return {
    contentType: 'application/cloudevents+json',
    encode: encodeCloudEvent,
  };
}

const encodeCloudEvent: Codec['encode'] = (event) => withSequence(event.json, event.sequence);

/** Whether the codec returns what `writeWithSequence` writes, which then needs no string in between. */
export function encodesCloudEvents(codec: Codec): boolean {
  return codec.encode === encodeCloudEvent;
}

/**
 * Only the `data`, for consumers that know nothing of CloudEvents, such as a nest-nsq-transport consumer with its JSON
 * deserializer. Without id, `sessionid` and `sequence` they can neither de-duplicate nor order events.
 */
export function json(): Codec {
  return {
    contentType: 'application/json',
    encode: (event) => dataOf(event.json),
  };
}

import { types } from 'node:util';
import { encodesCloudEvents } from '../../core/codecs.js';
import { catchRejection, EventSessionsError } from '../../core/errors.js';
import { eventIdOf, type StoredEvent, sizeWithSequence, writeWithSequence } from '../../core/event.js';
import { describe } from '../../core/validate.js';
import type { PublishBatch } from '../../ports/event-publisher.js';
import type { NsqSettings } from './nsq-options.js';

/** What goes to nsqd in one command: PUB for a single message, MPUB for more. */
export interface NsqRequest {
  /** The whole command as it goes over the wire, made when it goes: what waits is held once, by who called. */
  frame(): Buffer;
  /** Of the command's body. */
  readonly bytes: number;
}

/** Both commands have one four-byte number at the front: a size in PUB, the count of messages in MPUB. */
const REQUEST_BYTES = 4;
/** The size before each message of an MPUB. */
const MESSAGE_BYTES = 4;

/**
 * The messages of a batch, cut into requests that nsqd takes whole, each as one buffer that is filled once. They are
 * checked before any is sent, because nsqd answers a message that is too large or empty by closing the connection.
 *
 * @throws `PUBLISH_FAILED` with outcome `refused`.
 */
export function encodeRequests(batch: PublishBatch, settings: NsqSettings): NsqRequest[] {
  const { maxRequestMessages, maxRequestBytes } = settings;
  const requests: NsqRequest[] = [];
  let bodies: Body[] = [];
  let sizes: number[] = [];
  let bytes = REQUEST_BYTES;
  const cut = () => {
    if (bodies.length > 0) requests.push(requestOf(batch.topic, bodies, sizes, bytes));
    bodies = [];
    sizes = [];
    bytes = REQUEST_BYTES;
  };
  const asBytes = encodesCloudEvents(settings.codec);
  for (const event of batch.events) {
    const body = asBytes ? event : encode(batch, event, settings);
    const size = sizeOf(body);
    if (size === 0 || size > settings.maxMessageBytes) throw refused(batch, event, size, settings);
    if (bodies.length === maxRequestMessages || bytes + MESSAGE_BYTES + size > maxRequestBytes) cut();
    bodies.push(body);
    sizes.push(size);
    bytes += MESSAGE_BYTES + size;
  }
  cut();
  return requests;
}

/** What a codec has made, or an event that is written as a CloudEvent without a text in between. */
type Body = string | Uint8Array | StoredEvent;

function sizeOf(body: Body): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return types.isUint8Array(body) ? body.byteLength : sizeWithSequence(body);
}

function write(body: Body, frame: Buffer, at: number): void {
  if (typeof body === 'string') frame.write(body, at);
  else if (types.isUint8Array(body)) frame.set(body, at);
  else writeWithSequence(body, frame, at);
}

function requestOf(
  topic: string,
  bodies: readonly Body[],
  sizes: readonly number[],
  bytes: number,
): NsqRequest {
  return { bytes, frame: () => frameOf(topic, bodies, sizes, bytes) };
}

function frameOf(topic: string, bodies: readonly Body[], sizes: readonly number[], bytes: number): Buffer {
  const single = bodies.length === 1;
  const head = `${single ? 'PUB' : 'MPUB'} ${topic}\n`;
  const frame = Buffer.allocUnsafe(head.length + (single ? bytes - MESSAGE_BYTES : 4 + bytes));
  frame.write(head, 'latin1');
  let at = head.length;
  if (!single) {
    at = frame.writeUInt32BE(bytes, at);
    at = frame.writeUInt32BE(bodies.length, at);
  }
  bodies.forEach((body, i) => {
    const size = sizes[i] as number;
    at = frame.writeUInt32BE(size, at);
    write(body, frame, at);
    at += size;
  });
  return frame;
}

function encode({ sessionId, topic }: PublishBatch, event: StoredEvent, { codec }: NsqSettings) {
  try {
    const body: unknown = codec.encode(event);
    if (typeof body === 'string' || types.isUint8Array(body)) return body;
    catchRejection(body, () => {});
    throw new TypeError(`encode answered ${describe(body)}, not a string or a Uint8Array`);
  } catch (error) {
    const eventId = eventIdOf(event.json);
    const message = `The codec (${codec.contentType}) could not encode event ${eventId}`;
    throw new EventSessionsError(
      'PUBLISH_FAILED',
      message,
      { sessionId, topic, eventId, outcome: 'refused' },
      error,
    );
  }
}

function refused(
  { sessionId, topic }: PublishBatch,
  event: StoredEvent,
  size: number,
  { maxMessageBytes }: NsqSettings,
): EventSessionsError {
  const eventId = eventIdOf(event.json);
  const facts = { sessionId, topic, eventId, outcome: 'refused' as const };
  if (size === 0) {
    const message = `The codec made an empty message of event ${eventId}, which nsqd does not take`;
    return new EventSessionsError('PUBLISH_FAILED', message, facts);
  }
  const message =
    `Event ${eventId} makes a message of ${size} bytes; nsqd takes ${maxMessageBytes}. ` +
    'Raise --max-msg-size of every nsqd and maxMessageBytes of nsqPublisher, or make the event smaller.';
  return new EventSessionsError('PUBLISH_FAILED', message, {
    ...facts,
    limit: maxMessageBytes,
    actual: size,
  });
}

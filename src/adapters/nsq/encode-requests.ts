import { EventSessionsError } from '../../core/errors.js';
import { eventIdOf } from '../../core/event.js';
import type { PublishBatch } from '../../ports/event-publisher.js';
import type { NsqSettings } from './nsq-options.js';

/** What goes to nsqd in one command: PUB for a single message, MPUB for more. */
export interface NsqRequest {
  readonly topic: string;
  readonly bodies: (string | Buffer)[];
  /** Of the command's body on the wire. */
  readonly bytes: number;
}

/** Both commands have one four-byte number at the front: a size in PUB, the count of messages in MPUB. */
const REQUEST_BYTES = 4;
/** The size before each message of an MPUB. */
const MESSAGE_BYTES = 4;

/**
 * The messages of a batch, cut into requests that nsqd takes whole. They are checked before any is sent, because
 * nsqd answers a message that is too large or empty by closing the connection.
 *
 * @throws `PUBLISH_FAILED` with outcome `refused`.
 */
export function encodeRequests(batch: PublishBatch, settings: NsqSettings): NsqRequest[] {
  const requests: NsqRequest[] = [];
  let bodies: NsqRequest['bodies'] = [];
  let bytes = REQUEST_BYTES;
  const cut = () => {
    if (bodies.length > 0) requests.push({ topic: batch.topic, bodies, bytes });
    bodies = [];
    bytes = REQUEST_BYTES;
  };
  for (let index = 0; index < batch.events.length; index++) {
    const body = encode(batch, index, settings);
    const size = MESSAGE_BYTES + Buffer.byteLength(body);
    if (bodies.length === settings.maxRequestMessages || bytes + size > settings.maxRequestBytes) cut();
    bodies.push(body);
    bytes += size;
  }
  cut();
  return requests;
}

function encode(batch: PublishBatch, index: number, settings: NsqSettings): string | Buffer {
  const { codec, maxMessageBytes } = settings;
  const event = batch.events[index];
  if (event === undefined) throw new RangeError(`no event at ${index}`);
  const facts = () => ({
    sessionId: batch.sessionId,
    topic: batch.topic,
    eventId: eventIdOf(event.json),
    outcome: 'refused' as const,
  });

  let body: string | Uint8Array;
  let bytes: number;
  try {
    body = codec.encode(event);
    bytes = Buffer.byteLength(body);
  } catch (error) {
    const message = `The codec (${codec.contentType}) could not encode event ${eventIdOf(event.json)}`;
    throw new EventSessionsError('PUBLISH_FAILED', message, facts(), error);
  }
  if (bytes === 0) {
    const message = `The codec made an empty message of event ${eventIdOf(event.json)}, which nsqd does not take`;
    throw new EventSessionsError('PUBLISH_FAILED', message, facts());
  }
  if (bytes > maxMessageBytes) {
    const message =
      `Event ${eventIdOf(event.json)} makes a message of ${bytes} bytes; nsqd takes ${maxMessageBytes}. ` +
      'Raise --max-msg-size of every nsqd and maxMessageBytes of nsqPublisher, or make the event smaller.';
    throw new EventSessionsError('PUBLISH_FAILED', message, {
      ...facts(),
      limit: maxMessageBytes,
      actual: bytes,
    });
  }
  return forWriter(body);
}

/** nsqjs takes strings, which are fastest, and Buffers; any other Uint8Array it would send as JSON. */
function forWriter(body: string | Uint8Array): string | Buffer {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return body;
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

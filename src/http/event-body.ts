import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { MAX_EVENTS_PER_CALL } from '../commands/add-events.js';
import {
  addOptionsSchema,
  type EventInput,
  eventTypeSchema,
  extensionValue,
  MAX_EXTENSIONS,
} from '../core/accept-event.js';
import { plainText, validate } from '../core/validate.js';
import { HttpProblem } from './problem.js';

export const CLOUD_EVENT = 'application/cloudevents+json';
export const CLOUD_EVENTS = 'application/cloudevents-batch+json';

export function mediaTypeOf(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

export function requireType(request: Request, allowed: readonly string[]): string {
  const type = mediaTypeOf(request);
  if (allowed.includes(type)) return type;
  throw new HttpProblem(
    'UNSUPPORTED_MEDIA_TYPE',
    `The content type must be ${allowed.length > 1 ? 'one of ' : ''}${allowed.join(', ')}`,
  );
}

export const requireEventsType = (request: Request) =>
  requireType(request, ['application/json', CLOUD_EVENT, CLOUD_EVENTS]);

/** The events of a body. With a key, events without an id get one by their place: repeated, they are added once. */
export function eventsOf(type: string, body: unknown, key: string | undefined): EventInput[] {
  if (type === CLOUD_EVENTS && !Array.isArray(body))
    throw new HttpProblem('INVALID_INPUT', 'A batch is an array of CloudEvents');
  if (type === CLOUD_EVENT && Array.isArray(body))
    throw new HttpProblem('INVALID_INPUT', `One CloudEvent is an object; several are ${CLOUD_EVENTS}`);
  const items: readonly unknown[] = Array.isArray(body) ? body : [body];
  if (items.length > MAX_EVENTS_PER_CALL)
    throw new HttpProblem('INVALID_INPUT', `One call takes up to ${MAX_EVENTS_PER_CALL} events`);
  return items.map((item, index) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item))
      throw new HttpProblem('INVALID_INPUT', `Event ${index} is not an object`);
    if (type !== 'application/json') return fromCloudEvent(item as Record<string, unknown>, index);
    const event = item as EventInput;
    return event.id === undefined && key !== undefined ? { ...event, id: idFrom(`${key}\n${index}`) } : event;
  });
}

/** A CloudEvent 1.0 in JSON whose data, if it has any, is JSON; as there, no text has control characters. What is not listed is an extension attribute. */
export const cloudEventSchema = z.catchall(
  z.object({
    specversion: z.literal('1.0', { error: '"1.0"' }),
    id: plainText(1_024),
    source: plainText(1_024),
    type: eventTypeSchema,
    subject: addOptionsSchema.shape.subject,
    time: addOptionsSchema.shape.time,
    datacontenttype: z.optional(z.literal('application/json', { error: 'application/json' })),
    data: z.optional(z.unknown()),
    data_base64: z.optional(z.never({ error: 'data that is JSON' })),
    originalid: z.optional(z.never({ error: 'no attribute of this name, under which the id travels on' })),
    originalsource: z.optional(
      z.never({ error: 'no attribute of this name, under which the source travels on' }),
    ),
  }),
  extensionValue,
);

const MAX_ATTRIBUTES = MAX_EXTENSIONS + Object.keys(cloudEventSchema.shape).length;

/**
 * A CloudEvent is one by its source and id together: both go into the id that it has in the session, and travel on as
 * extension attributes.
 */
function fromCloudEvent(item: Record<string, unknown>, index: number): EventInput {
  if (Object.keys(item).length > MAX_ATTRIBUTES)
    throw new HttpProblem('INVALID_INPUT', `Event ${index} has more than ${MAX_ATTRIBUTES} attributes`);
  // "null" is as good as unset (CloudEvents JSON Format 1.0.2, 2.2), and events of this library always have data.
  const set = Object.fromEntries(Object.entries(item).filter(([, value]) => value !== null));
  validate(cloudEventSchema, set, `Event ${index}`);
  const { specversion, id, source, type, data = null, subject, time, datacontenttype, ...rest } = set;
  const extensions = { ...rest, originalid: id, originalsource: source };
  // The core checks what is left.
  return { type, data, id: idFrom(`${source}\n${id}`), subject, time, extensions } as EventInput;
}

/** The key of a request as an id: any text fits, and the same text gives the same id. */
export function idFrom(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** `Idempotency-Key`. */
export const idempotencyKeySchema = plainText(256);

export function keyOf(request: Request): string | undefined {
  const key = request.headers.get('idempotency-key');
  return key === null ? undefined : validate(idempotencyKeySchema, key, 'The Idempotency-Key');
}

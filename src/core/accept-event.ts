import { types } from 'node:util';
import * as z from 'zod/mini';
import type { Catalogue, CatalogueLookup, EventData, EventType } from './catalogue.js';
import { catchRejection, EventSessionsError } from './errors.js';
import {
  type AcceptedEvent,
  type EnvelopeAttributes,
  type ExtensionValue,
  encodeEnvelope,
  SEQUENCE_BYTES,
  type TraceContext,
} from './event.js';
import { createEventIds } from './ids.js';
import { toJsonText } from './json-text.js';
import { plainJson } from './plain-json.js';
import { isTopic, TOPIC_RULE } from './topic.js';
import { copyOf, describe, idSchema, named, plainText, reading, validate } from './validate.js';

export interface AddOptions {
  /**
   * Makes the add idempotent: added twice under one id, a session has the event once. 1 to 128 characters
   * `A-Z a-z 0-9 _ -`. Default: 128 random bits and a number.
   */
  readonly id?: string | undefined;
  /**
   * Where to publish it. 1 to 64 characters `A-Z a-z 0-9 . _ -`, of which the last may be `#ephemeral`. Default: what
   * the option `topic` says, else the topic in the catalogue, else the event's type.
   */
  readonly topic?: string | undefined;
  /** CloudEvents `subject`: what the event is about, within its source. 1 to 1,024 characters. */
  readonly subject?: string | undefined;
  /** When it happened; a string must be RFC 3339. Default: now. */
  readonly time?: Date | string | undefined;
  /**
   * CloudEvents extension attributes, such as `traceparent`; at most 100. Names have 1 to 20 characters `a-z 0-9`.
   */
  readonly extensions?: Readonly<Record<string, ExtensionValue>> | undefined;
}

/** An event as `addMany` takes it: a type of the catalogue, data that its schema takes, and options. */
export type EventOf<C extends Catalogue> = {
  [T in EventType<C>]: AddOptions & { readonly type: T; readonly data: EventData<C, T> };
}[EventType<C>];

/** {@link EventOf} without a catalogue. */
export interface EventInput extends AddOptions {
  readonly type: string;
  readonly data: unknown;
}

/** Chooses the topic of an event. `data` is what the schema returned, so with its defaults and transforms. */
export type TopicRule = (event: {
  readonly type: string;
  readonly data: unknown;
  readonly subject?: string | undefined;
}) => string;

/**
 * Turns what a user adds into an {@link AcceptedEvent}, or refuses it before anything has been changed. The trace is
 * only added: an event that brings its own, or would be too large with this one, goes without.
 */
export type AcceptEvent = (
  sessionId: string,
  input: EventInput,
  trace?: TraceContext,
) => AcceptedEvent | Promise<AcceptedEvent>;

export interface AcceptEventConfig {
  readonly source: string;
  readonly catalogue: CatalogueLookup;
  readonly topic: TopicRule | undefined;
  readonly maxDepth: number;
  /** Bytes of the whole CloudEvents JSON with its sequence. */
  readonly maxEventBytes: number;
}

const RESERVED = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'datacontenttype',
  'dataschema',
  'subject',
  'data',
  'sessionid',
  'sequence',
]);
// RFC 3339, section 5.6.
const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;

/** RFC 3339 has years of four digits; `Date.parse` takes February 30 for March 2. */
function isRfc3339(text: string): boolean {
  const day = text.slice(0, 10);
  return RFC3339.test(text) && !Number.isNaN(Date.parse(text)) && new Date(day).toISOString().startsWith(day);
}

const timeError = 'a Date or an RFC 3339 time such as 2025-01-31T12:00:00Z';
const timeText = z.pipe(
  z.transform((time) => (types.isDate(time) && !Number.isNaN(time.getTime()) ? time.toISOString() : time)),
  z.string({ error: timeError }).check(z.refine(isRfc3339, { error: timeError })),
);
const extensionNameError = 'a name of 1 to 20 characters a-z 0-9 that is not reserved';
const extensionName = z.string().check(
  z.regex(/^[a-z0-9]{1,20}$/, { error: extensionNameError }),
  z.refine((name) => !RESERVED.has(name), { error: extensionNameError }),
);
const extensionError =
  'a string without control characters or lone surrogates, a boolean or a 32-bit whole number';
/** CloudEvents has no limit, but a transport may make each of them a header. */
export const MAX_EXTENSIONS = 100;
export const extensionValue = z.union([z.boolean(), z.int32(), plainText(1024)], { error: extensionError });
export const addOptionsSchema = z.strictObject({
  id: z.optional(idSchema),
  topic: z.optional(z.string()),
  subject: z.optional(plainText(1024)),
  time: z.optional(timeText),
  extensions: z.optional(
    named(
      `an object of up to ${MAX_EXTENSIONS} extension attributes`,
      extensionName,
      extensionValue,
      MAX_EXTENSIONS,
    ),
  ),
});
export const eventTypeSchema = plainText(256);
export const eventSchema = z.extend(addOptionsSchema, { type: eventTypeSchema, data: z.unknown() });
const typedSchema = z.strictObject({ type: eventTypeSchema });

type CheckedOptions = z.output<typeof addOptionsSchema>;

export function createAcceptEvent(config: AcceptEventConfig): AcceptEvent {
  const { maxDepth, maxEventBytes } = config;
  const eventIdFor = createEventIds();
  const now = clock();
  const knownTypes = knownTexts();
  const knownTopics = knownTexts();

  function accept(
    sessionId: string,
    type: string,
    options: CheckedOptions,
    data: unknown,
    trace: TraceContext | undefined,
  ): AcceptedEvent {
    const topic = topicOf(type, options, data);
    if (!knownTopics.has(topic)) {
      if (!isTopic(topic)) throw invalidTopic(topic, type, options.id);
      knownTopics.add(topic);
    }
    const text =
      plainJson(data, maxDepth, maxEventBytes) ??
      toJsonText(data, {
        maxDepth,
        maxBytes: maxEventBytes,
        facts: { eventId: options.id, eventType: type },
      });
    // Drawn last, so that what is refused leaves no gap.
    const id = options.id ?? eventIdFor(sessionId);
    const { time = now(), subject, extensions } = options;
    const attributes = { id, source: config.source, type, time, sessionId, subject, extensions };
    if (trace !== undefined && extensions?.traceparent === undefined) {
      const traced = encodeEnvelope(withTrace(attributes, trace), text);
      if (sizeOf(traced) <= maxEventBytes) return { id, topic, json: traced };
    }
    const envelope = encodeEnvelope(attributes, text);
    const bytes = sizeOf(envelope);
    if (bytes > maxEventBytes) {
      throw new EventSessionsError(
        'EVENT_TOO_LARGE',
        `The event has ${bytes} bytes with its envelope; ${maxEventBytes} are allowed`,
        { eventId: id, eventType: type, limit: maxEventBytes, actual: bytes },
      );
    }
    return { id, topic, json: envelope };
  }

  function topicOf(type: string, options: CheckedOptions, data: unknown): string {
    if (options.topic !== undefined) return options.topic;
    if (config.topic === undefined) return config.catalogue.topicOf(type) ?? type;
    try {
      const topic = config.topic({ type, data, subject: options.subject });
      // A promise is no topic, and is refused; what it rejects with must not end the process.
      catchRejection(topic, () => {});
      return topic;
    } catch (error) {
      throw new EventSessionsError(
        'INVALID_TOPIC',
        `The topic option threw for an event of type ${describe(type)}`,
        { eventType: type },
        error,
      );
    }
  }

  return (sessionId, event, trace) => {
    const { type, input, rest } = reading('An event', () => partsOf(event));
    if (!knownTypes.has(type)) knownTypes.add(validate(typedSchema, { type }, 'The event').type);
    const options = rest === undefined ? NO_OPTIONS : validate(addOptionsSchema, rest, 'The options of add');
    const data = config.catalogue.validate(type, input);
    return types.isPromise(data)
      ? data.then((output: unknown) => accept(sessionId, type, options, output, trace))
      : accept(sessionId, type, options, data, trace);
  };
}

const sizeOf = (envelope: string) => Buffer.byteLength(envelope) + SEQUENCE_BYTES;

function withTrace(attributes: EnvelopeAttributes, trace: TraceContext): EnvelopeAttributes {
  const { traceparent, tracestate } = trace;
  const { tracestate: _, ...extensions } = attributes.extensions ?? {};
  return {
    ...attributes,
    extensions: { ...extensions, traceparent, ...(tracestate === undefined ? {} : { tracestate }) },
  };
}

const NO_OPTIONS: CheckedOptions = {};

/** The type, the data, and the other members, if there are any. */
function partsOf(event: EventInput) {
  if (isTypeAndData(event)) return { type: event.type, input: event.data, rest: undefined };
  const { type, data: input, ...rest } = copyOf(event, eventSchema);
  return { type, input, rest };
}

/** What most events are. Of a class, there may be more than its fields. */
function isTypeAndData(event: EventInput): boolean {
  for (const key in event) if (key !== 'type' && key !== 'data') return false;
  return Object.getPrototypeOf(event) === Object.prototype;
}

function invalidTopic(topic: string, eventType: string, eventId: string | undefined): EventSessionsError {
  const message =
    `A topic has ${TOPIC_RULE}; got ${describe(topic)}. ` +
    'Give the event a topic, or set one in the catalogue or with the topic option.';
  return new EventSessionsError('INVALID_TOPIC', message, { topic, eventId, eventType });
}

/** Texts that were found valid, so that they need not be checked again for every event. Bounded. */
function knownTexts(): Pick<Set<string>, 'has' | 'add'> {
  const texts = new Set<string>();
  return {
    has: (text) => texts.has(text),
    add(text) {
      if (texts.size >= 1_000) texts.clear();
      return texts.add(text);
    },
  };
}

/** The current time as RFC 3339, formatted once for each millisecond. */
function clock(): () => string {
  let at = Number.NaN;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) {
      at = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}

import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  isSpanContextValid,
  type Link,
  type MeterProvider,
  metrics,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import * as z from 'zod/mini';
import type { RecoveryReport } from '../contingency/recovery-pass.js';
import { isEventSessionsError, isSystemFailure } from '../core/errors.js';
import { traceparentOf } from '../core/event.js';
import { plainText, validate, withMethods } from '../core/validate.js';
import type { PublishBatch } from '../ports/event-publisher.js';
import type { Instrumentation, Operation } from '../ports/instrumentation.js';

export interface OpenTelemetryOptions {
  /** Default: the global provider. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Default: the global provider at the time of the call, so start the SDK first. */
  readonly meterProvider?: MeterProvider | undefined;
  /** `messaging.system` of spans and metrics. Default `nsq`. */
  readonly system?: string | undefined;
}

const SCOPE = 'event-sessions';
const SESSION_ID = 'event_sessions.session.id';
/** Characters that every party has to carry (W3C Trace Context, 3.3.1.5). */
const MAX_TRACESTATE = 512;
/** Links of a span that the SDK keeps by default (`OTEL_SPAN_LINK_COUNT_LIMIT`). */
const MAX_LINKS = 128;
/** Topics told apart in metrics; a `topic` rule may make any number of them. */
const MAX_TOPICS = 100;
/** Seconds: what the semantic conventions advise for messaging operations. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** In the context of a recovery pass: begins its span, unless it has begun. */
const PASS = createContextKey('event-sessions recovery pass');

const optionsSchema = z.strictObject({
  tracerProvider: z.optional(withMethods<TracerProvider>('a TracerProvider', 'getTracer')),
  meterProvider: z.optional(withMethods<MeterProvider>('a MeterProvider', 'getMeter')),
  system: z.optional(plainText(64)),
});

/**
 * Traces and metrics, for `createEventSessions({ instrumentation: openTelemetry() })`.
 *
 * There are spans for commands, for each call of the publisher, and for recovery passes that find something. Events
 * carry the span of their `addEvents` to their consumers (W3C Trace Context, in the CloudEvents extension "Distributed
 * Tracing"); the span of a batch links to the spans of the adds in it. The metrics of the publisher are named by the
 * semantic conventions for messaging: `messaging.client.operation.duration`, `messaging.client.sent.messages`.
 *
 * Spans have ids, topics, counts and codes; no data, no metadata, and no error messages that could quote them.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Instrumentation {
  const {
    system = 'nsq',
    tracerProvider = trace,
    meterProvider = metrics,
  } = validate(optionsSchema, options, 'The options of openTelemetry');
  const tracer = tracerProvider.getTracer(SCOPE);
  const meter = meterProvider.getMeter(SCOPE);
  const duration = meter.createHistogram('messaging.client.operation.duration', {
    description: 'Duration of messaging operation initiated by a producer or consumer client.',
    unit: 's',
    advice: { explicitBucketBoundaries: BUCKETS },
  });
  const sent = meter.createCounter('messaging.client.sent.messages', {
    description: 'Number of messages producer attempted to send to the broker.',
    unit: '{message}',
  });
  const send = {
    'messaging.system': system,
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
  };
  const topics = new Set<string>();

  function destination(topic: string): Attributes {
    if (topics.size < MAX_TOPICS) topics.add(topic);
    return topics.has(topic) ? { 'messaging.destination.name': topic } : {};
  }

  function describe(
    operation: Exclude<Operation, { name: 'recover' }>,
  ): [name: string, options: SpanOptions] {
    if (operation.name !== 'publish') {
      const kind = operation.name === 'addEvents' ? SpanKind.PRODUCER : SpanKind.INTERNAL;
      return [`${SCOPE} ${operation.name}`, { kind, attributes: { [SESSION_ID]: operation.sessionId } }];
    }
    const { topic, sessionId, events } = operation.batch;
    const attributes = {
      ...send,
      'messaging.destination.name': topic,
      'messaging.batch.message_count': events.length,
      [SESSION_ID]: sessionId,
    };
    return [`send ${topic}`, { kind: SpanKind.CLIENT, attributes, links: linksOf(operation.batch) }];
  }

  function measure({ topic, events }: PublishBatch, startedAt: number, failure: Attributes): void {
    const attributes = { ...send, ...destination(topic), ...failure };
    duration.record((performance.now() - startedAt) / 1_000, attributes);
    sent.add(events.length, attributes);
  }

  /**
   * A pass that finds nothing, as most do, gets no span. So the span is begun when there is something, as of the start.
   */
  async function observePass(run: () => Promise<unknown>): Promise<void> {
    const outside = context.active();
    const startTime = Date.now();
    const pass: { span?: Span } = {};
    const begin = () => {
      pass.span ??= tracer.startSpan(`${SCOPE} recover`, { kind: SpanKind.INTERNAL, startTime }, outside);
      return pass.span;
    };
    try {
      const report = (await context.with(outside.setValue(PASS, begin), run)) as RecoveryReport;
      if (!isIdle(report)) begin().setAttributes(countsOf(report));
    } catch (error) {
      fail(begin(), error);
    }
    pass.span?.end();
  }

  return {
    async observe(operation, run) {
      if (operation.name === 'recover') return observePass(run);
      const startedAt = performance.now();
      const active = context.active();
      // A command that a listener gives during a pass is none of the pass.
      const parent = operation.name === 'publish' ? withPass(active) : active.deleteValue(PASS);
      const span = tracer.startSpan(...describe(operation), parent);
      let failure: Attributes = {};
      try {
        span.setAttributes(countsOf(await context.with(trace.setSpan(parent, span), run)));
      } catch (error) {
        failure = fail(span, error);
      }
      span.end();
      if (operation.name === 'publish') measure(operation.batch, startedAt, failure);
    },

    traceContext() {
      const active = trace.getSpanContext(context.active());
      if (active === undefined || !isSpanContextValid(active)) return undefined;
      const flags = active.traceFlags.toString(16).padStart(2, '0');
      return {
        traceparent: `00-${active.traceId}-${active.spanId}-${flags}`,
        tracestate: stateOf(active),
      };
    },
  };
}

/** The context, in the span of its recovery pass, if it is in one. */
function withPass(active: Context): Context {
  const begin = active.getValue(PASS) as (() => Span) | undefined;
  return begin === undefined ? active : trace.setSpan(active, begin());
}

function isIdle({ complete, sessions, quarantined }: RecoveryReport): boolean {
  return complete && sessions === 0 && quarantined === 0;
}

function fail(span: Span, error: unknown): Attributes {
  const failure = { 'error.type': isEventSessionsError(error) ? error.code : '_OTHER' };
  const message = isSystemFailure(error) ? { message: error.message } : {};
  span.setAttributes(failure).setStatus({ code: SpanStatusCode.ERROR, ...message });
  return failure;
}

/** A trace goes on without its state; with one that is too long it would not. */
function stateOf({ traceState }: SpanContext): string | undefined {
  const text = traceState?.serialize() ?? '';
  return text.length > 0 && text.length <= MAX_TRACESTATE ? text : undefined;
}

/** One for each add, not for each event: an `addMany` has one span. */
function linksOf({ events }: PublishBatch): Link[] {
  const links = new Map<string, Link>();
  for (const event of events) {
    const traceparent = traceparentOf(event);
    if (traceparent === undefined || links.has(traceparent)) continue;
    const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
    const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
    if (isSpanContextValid(spanContext)) links.set(traceparent, { context: spanContext });
    if (links.size === MAX_LINKS) break;
  }
  return [...links.values()];
}

/** Numbers and states of a receipt or a report. */
function countsOf(result: unknown): Attributes {
  const told = (result ?? {}) as Readonly<Record<string, unknown>>;
  const attributes: Attributes = {};
  if (typeof told.sessionId === 'string') attributes[SESSION_ID] = told.sessionId;
  for (const name of COUNTS) {
    const value = told[name];
    if (Array.isArray(value)) attributes[`event_sessions.${name}`] = value.length;
    else if (isPrimitive(value)) attributes[`event_sessions.${name}`] = value;
  }
  return attributes;
}

const isPrimitive = (value: unknown): value is number | boolean | string =>
  typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string';

const COUNTS = [
  'status',
  'events',
  'published',
  'deferred',
  'discarded',
  'sessions',
  'quarantined',
  'remaining',
  'complete',
] as const;

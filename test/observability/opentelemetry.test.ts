import { context, createTraceState, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { type EventSessionsOptions, memoryContingency } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { openTelemetry } from 'event-sessions/opentelemetry';
import { redisStore } from 'event-sessions/redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { instance } from '../api/instance.js';
import { consume } from '../support/nsqd.js';
import { describeWithAll } from '../support/services.js';

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(() => context.disable());

/** An instance on the real SDK, whose exporters keep what they get. */
function setUp(options: EventSessionsOptions = {}) {
  const exported = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exported)] });
  const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const instrumentation = openTelemetry({ tracerProvider, meterProvider });
  const made = instance({ instrumentation, ...options });
  const spans = (name: string): ReadableSpan[] =>
    exported.getFinishedSpans().filter((span) => span.name === name);
  return {
    ...made,
    tracer: tracerProvider.getTracer('test'),
    spans,
    span(name: string): ReadableSpan {
      const [span, ...more] = spans(name);
      if (span === undefined || more.length > 0) throw new Error(`${more.length} spans ${name} too many`);
      return span;
    },
    names: () => exported.getFinishedSpans().map(({ name }) => name),
    all: () => exported.getFinishedSpans(),
    async metrics() {
      await meterProvider.forceFlush();
      return (
        measured
          .getMetrics()
          .at(-1)
          ?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
      );
    },
  };
}

const idOf = (span: ReadableSpan) => span.spanContext().spanId;
const traceparentOf = (span: ReadableSpan) =>
  `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`;

describe('spans', () => {
  test('of commands and batches make one trace with the caller, and the batch is linked to the adds', async () => {
    const { sessions, tracer, span, spans, publisher } = setUp();
    const session = await sessions.startSession();
    await session.add('order.placed', 1);
    await session.addMany([
      { type: 'order.placed', data: 2 },
      { type: 'order.placed', data: 3 },
    ]);
    await tracer.startActiveSpan('request', async (request) => {
      await session.commit();
      request.end();
    });

    const commit = span('event-sessions commitSession');
    const batch = span('send order.placed');
    expect(commit.parentSpanContext?.spanId).toBe(idOf(span('request')));
    expect(batch.parentSpanContext?.spanId).toBe(idOf(commit));
    expect(batch.kind).toBe(SpanKind.CLIENT);
    expect(batch.attributes).toEqual({
      'messaging.system': 'nsq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'order.placed',
      'messaging.batch.message_count': 3,
      'event_sessions.session.id': session.id,
    });
    const adds = spans('event-sessions addEvents');
    expect(batch.links.map(({ context }) => context.spanId)).toEqual(adds.map(idOf));
    expect(publisher.published.map(({ event }) => event.traceparent)).toEqual([
      traceparentOf(adds[0] as ReadableSpan),
      traceparentOf(adds[1] as ReadableSpan),
      traceparentOf(adds[1] as ReadableSpan),
    ]);
    expect(commit.attributes).toMatchObject({
      'event_sessions.session.id': session.id,
      'event_sessions.status': 'committed',
      'event_sessions.events': 3,
      'event_sessions.published': 3,
      'event_sessions.deferred': 0,
    });
  });

  test('tell the failure by its code, and say nothing that could quote data', async () => {
    const { sessions, span, all } = setUp({ contingency: false });
    const session = await sessions.startSession({ metadata: { user: 'secret' } });
    await session.add('order.placed', { card: 'secret' });
    await session.add('order.placed', () => 'secret').catch(() => {});
    await sessions.commands.rollbackSession({ sessionId: 'secret secret' }).catch(() => {});
    expect(span('event-sessions rollbackSession')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'INVALID_INPUT' },
    });
    const told = all().map(({ name, attributes, status, events }) => ({ name, attributes, status, events }));
    expect(JSON.stringify(told)).not.toContain('secret');
  });

  test('of a broker that is down: each attempt is one, and the commit says what it deferred', async () => {
    const { sessions, broker, span, spans } = setUp({ commit: { retries: 1 } });
    broker.down = true;
    const session = await sessions.startSession();
    await session.add('order.placed', 1);
    await session.commit();
    const attempts = spans('send order.placed');
    expect(attempts).toHaveLength(2);
    for (const attempt of attempts) {
      expect(attempt.status.code).toBe(SpanStatusCode.ERROR);
      expect(attempt.attributes['error.type']).toBe('PUBLISH_FAILED');
    }
    expect(span('event-sessions commitSession').attributes).toMatchObject({ 'event_sessions.deferred': 1 });
  });

  test('of recovery hold the batches it publishes, linked to the adds of before', async () => {
    const { sessions, broker, span, spans } = setUp();
    broker.down = true;
    const session = await sessions.startSession();
    await session.add('order.placed', 1);
    await session.commit();
    broker.down = false;
    await sessions.recover();
    const batch = spans('send order.placed').at(-1) as ReadableSpan;
    expect(batch.parentSpanContext?.spanId).toBe(idOf(span('event-sessions recover')));
    expect(batch.links.map(({ context }) => context.spanId)).toEqual([
      idOf(span('event-sessions addEvents')),
    ]);
    expect(span('event-sessions recover').attributes).toMatchObject({
      'event_sessions.published': 1,
      'event_sessions.complete': true,
    });
  });

  test('of recovery passes that find nothing are not made, whoever asks for them', async () => {
    const { sessions, tracer, names } = setUp();
    await sessions.recover();
    await tracer.startActiveSpan('request', async (request) => {
      await sessions.recover();
      request.end();
    });
    expect(names()).toEqual(['request']);
  });

  test('of recovery passes that fail or find something are below whoever asked for it', async () => {
    const log = memoryContingency();
    const { sessions, store, tracer, span, spans } = setUp({ contingency: log });
    store.fault = 'down';
    await tracer.startActiveSpan('request', async (request) => {
      await sessions.recover();
      request.end();
    });
    const pass = span('event-sessions recover');
    expect(pass.attributes).toMatchObject({ 'event_sessions.complete': false });
    expect(pass.parentSpanContext?.spanId).toBe(idOf(span('request')));

    store.fault = 'up';
    log.seal = () => Promise.reject(new Error('secret'));
    await sessions.recover().catch(() => {});
    expect(spans('event-sessions recover').at(-1)).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': '_OTHER' },
    });
  });

  test('of a recovery pass that several ask for is one', async () => {
    const { sessions, broker, span } = setUp();
    broker.down = true;
    await sessions.transaction((session) => session.add('order.placed', 1));
    broker.down = false;
    await Promise.all([sessions.recover(), sessions.recover()]);
    expect(span('event-sessions recover').attributes).toMatchObject({ 'event_sessions.published': 1 });
  });

  test('of what a listener does during a recovery pass are its own', async () => {
    const { sessions, store, span, spans } = setUp();
    store.fault = 'down';
    await (await sessions.startSession({ sessionId: 'deferred' })).add('order.placed', 1);
    store.fault = 'up';
    let committing: Promise<unknown> | undefined;
    sessions.on('contingency.recovered', () => {
      committing = sessions.session('deferred').commit();
    });
    await sessions.recover();
    await committing;
    const commit = span('event-sessions commitSession');
    expect(commit.parentSpanContext).toBeUndefined();
    expect(span('send order.placed').parentSpanContext?.spanId).toBe(idOf(commit));
    expect(spans('event-sessions recover')).toHaveLength(1);
  });

  test('of queries are not made', async () => {
    const { sessions, names } = setUp();
    const session = await sessions.startSession();
    await session.status();
    await sessions.metrics();
    await sessions.health();
    expect(names()).toEqual(['event-sessions startSession']);
  });

  test('have no more links than the SDK keeps', async () => {
    const { sessions, span } = setUp();
    const session = await sessions.startSession();
    for (let i = 0; i < 200; i += 1) await session.add('order.placed', i);
    await session.commit();
    expect(span('send order.placed')).toMatchObject({ droppedLinksCount: 0 });
    expect(span('send order.placed').links).toHaveLength(128);
  });
});

describe('the trace in an event', () => {
  const own = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  test('is the one the event brings, if it brings one', async () => {
    const { sessions, publisher, span } = setUp();
    const session = await sessions.startSession();
    await session.add('order.placed', 1, { extensions: { traceparent: own, tracestate: 'a=1', other: 2 } });
    await session.commit();
    expect(publisher.published[0]?.event).toMatchObject({ traceparent: own, tracestate: 'a=1', other: 2 });
    expect(span('send order.placed').links.map(({ context }) => context.spanId)).toEqual([
      'b7ad6b7169203331',
    ]);
  });

  test.each([
    ['with the state of the caller', 'vendor=1', 'vendor=1'],
    ['without a state that is too long', `vendor=${'x'.repeat(510)}`, undefined],
  ])('stands beside other extensions, %s', async (_, state, tracestate) => {
    const { sessions, publisher } = setUp();
    const session = await sessions.startSession();
    const [, traceId = '', spanId = ''] = own.split('-');
    const traceState = createTraceState().set('vendor', state.slice('vendor='.length));
    const caller = trace.setSpanContext(context.active(), { traceId, spanId, traceFlags: 1, traceState });
    await context.with(caller, () => session.add('order.placed', 1, { extensions: { other: 'x' } }));
    await session.commit();
    const { event } = publisher.published[0] ?? {};
    expect(event).toMatchObject({ traceparent: expect.stringContaining(traceId), other: 'x' });
    expect(event?.tracestate).toBe(tracestate);
  });

  test('changes nothing about what is a duplicate: the first stays, with its trace', async () => {
    const { sessions, publisher, spans } = setUp();
    const session = await sessions.startSession();
    await session.add('order.placed', 1, { id: 'e-1' });
    expect(await session.add('order.placed', 1, { id: 'e-1' })).toMatchObject({ duplicate: true });
    await session.commit();
    const [first] = spans('event-sessions addEvents');
    expect(publisher.published.map(({ event }) => event.traceparent)).toEqual([
      traceparentOf(first as ReadableSpan),
    ]);
  });

  test('is left out where it would make the event too large', async () => {
    const limits = { maxEventBytes: 400 };
    const untraced = instance({ limits }).sessions;
    const { sessions, publisher } = setUp({ limits });
    const sizes = Array.from({ length: 400 }, (_, size) => size);
    const fits = async (start: typeof sessions) => {
      const session = await start.startSession();
      const results = await Promise.allSettled(
        sizes.map((size) =>
          session.add('order.placed', 'x'.repeat(size), { id: `e-${String(size).padStart(3, '0')}` }),
        ),
      );
      await session.commit();
      return results.filter(({ status }) => status === 'fulfilled').length;
    };
    const count = await fits(sessions);
    expect(count).toBe(await fits(untraced));
    const traced = publisher.published.filter(({ event }) => event.traceparent !== undefined);
    expect(traced.length).toBeGreaterThan(0);
    expect(traced.length).toBeLessThan(count);
  });

  test('is none without a context manager or an SDK', async () => {
    const { sessions, publisher } = instance({ instrumentation: openTelemetry() });
    const session = await sessions.startSession();
    await session.add('order.placed', 1);
    await session.commit();
    expect(publisher.published[0]?.event).not.toHaveProperty('traceparent');
  });
});

test.each([5, { tracerProvider: {} }, { meterProvider: null }, { system: 'a\nb' }, { tracer: {} }])(
  'the options %j are refused',
  (options) => {
    expect(() => openTelemetry(options as never)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  },
);

describe('metrics', () => {
  test('are those of the messaging conventions', async () => {
    const { sessions, broker, metrics } = setUp();
    const session = await sessions.startSession();
    await session.addMany([1, 2, 3].map((data) => ({ type: 'order.placed', data })));
    await session.commit();
    broker.down = true;
    await sessions.transaction((other) => other.add('order.placed', 4));

    const send = {
      'messaging.system': 'nsq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'order.placed',
    };
    const failed = { ...send, 'error.type': 'PUBLISH_FAILED' };
    const [duration, sent] = await metrics();
    expect(duration?.descriptor).toMatchObject({ name: 'messaging.client.operation.duration', unit: 's' });
    expect(duration?.dataPoints.map(({ attributes }) => attributes)).toEqual([send, failed]);
    expect(sent?.descriptor).toMatchObject({ name: 'messaging.client.sent.messages', unit: '{message}' });
    expect(sent?.dataPoints.map(({ attributes, value }) => [attributes, value])).toEqual([
      [send, 3],
      [failed, 1],
    ]);
  });

  test('tell apart a hundred topics, and not more', async () => {
    const { sessions, metrics } = setUp();
    const session = await sessions.startSession();
    await session.addMany(Array.from({ length: 150 }, (_, i) => ({ type: `topic-${i}`, data: i })));
    await session.commit();
    const [, sent] = await metrics();
    expect(sent?.dataPoints).toHaveLength(101);
    expect(sent?.dataPoints.map(({ value }) => value)).toContain(50);
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('the consumer of nsqd gets the trace of the adder, and the batch of bytes is linked to it', async () => {
    const topic = `otel-${process.pid}-${Date.now()}`;
    const { sessions, tracer, span } = setUp({
      store: redisStore({ url: redis.url }),
      publisher: nsqPublisher({ nsqd: [nsqd.tcp] }),
    });
    const session = await sessions.startSession();
    await tracer.startActiveSpan('request', async (request) => {
      await session.add('order.placed', { traceparent: 'not this' }, { topic, subject: ',"traceparent":"ä' });
      request.end();
    });
    await session.commit();
    const add = span('event-sessions addEvents');
    expect(add.spanContext().traceId).toBe(span('request').spanContext().traceId);
    const [body = ''] = await consume(nsqd.tcp, topic, { count: 1 });
    expect(JSON.parse(body).traceparent).toBe(traceparentOf(add));
    expect(span(`send ${topic}`).links.map(({ context }) => context.spanId)).toEqual([idOf(add)]);
  });
});

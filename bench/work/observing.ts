import { context as otel } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { createEventSessions, type EventSessionsOptions, memoryStore } from 'event-sessions';
import { openTelemetry } from 'event-sessions/opentelemetry';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { dataOfSize, SOURCE, TYPE } from '../by-hand/envelope.js';
import { type Bench, countFor } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';
import { expectCount } from '../harness/expect.js';

/**
 * Metrics count from snapshots and hear of commits only, so adds should not notice. A span for each add takes some
 * microseconds, and on the memory adapters an add takes no more than that.
 */
const GOALS = { metrics: 0.95, tracing: { memory: 0.35, redis: 0.7 } };

const EVENT_BYTES = 250;

/** What watching costs the add path: with it, against without. */
export const observing: Bench = {
  name: 'observing',
  about: 'one add at a time with Prometheus metrics, and with every add traced, against none of it',
  inCheck: false,
  async run(context) {
    const { redis, report } = context;
    const client = new Redis(redis.url);
    const data = await dataOfSize(EVENT_BYTES);
    const stores = [
      { where: 'memory adapters', events: 50_000, store: memoryStore, tracing: GOALS.tracing.memory },
      { where: 'Redis', events: 4_000, store: () => redisStore({ client }), tracing: GOALS.tracing.redis },
    ];
    for (const { where, events, store, tracing } of stores) {
      const count = countFor(context, EVENT_BYTES, events);
      const side = (name: string, watch: () => Watch): Side => {
        let sessions = createEventSessions();
        let session = sessions.session('none');
        let unwatch: Unwatch = async () => {};
        return {
          name,
          async prepare() {
            const { options = {}, start } = watch();
            sessions = createEventSessions({ source: SOURCE, store: store(), recovery: false, ...options });
            unwatch = start(sessions);
            session = await sessions.startSession();
          },
          async run() {
            for (let i = 0; i < count; i += 1) await session.add(TYPE, data);
            return count;
          },
          async verify() {
            expectCount((await session.status()).events, count);
            await unwatch();
            await sessions.close();
            await client.flushall();
          },
        };
      };
      const common = { bench: 'observing', eventBytes: EVENT_BYTES };
      const theirs = side('unwatched', () => ({ start: () => async () => {} }));
      report(
        await compare(
          {
            ...common,
            title: `${where}, add with metrics`,
            goal: GOALS.metrics,
            ours: side('with Prometheus metrics', measured),
            theirs,
          },
          context,
        ),
      );
      report(
        await compare(
          {
            ...common,
            title: `${where}, add with traces`,
            goal: tracing,
            ours: side('with a span for every add', traced),
            theirs,
          },
          context,
        ),
      );
    }
    client.disconnect();
  },
};

type Unwatch = () => Promise<void>;
interface Watch {
  readonly options?: EventSessionsOptions;
  start(sessions: ReturnType<typeof createEventSessions>): Unwatch;
}

/** Scraped once a second, some fifteen times as often as usual. */
function measured(): Watch {
  return {
    start(sessions) {
      const registry = new Registry();
      const { stop } = prometheusMetrics(sessions, registry);
      const scrape = setInterval(() => registry.metrics(), 1_000);
      return async () => {
        clearInterval(scrape);
        stop();
      };
    },
  };
}

/** Every span sampled, batched and handed to an exporter that throws it away. */
function traced(): Watch {
  const exporter: SpanExporter = {
    export: (_spans, done) => done({ code: 0 }),
    shutdown: async () => {},
  };
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
  return {
    options: { instrumentation: openTelemetry({ tracerProvider }) },
    start() {
      otel.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      return async () => {
        otel.disable();
        await tracerProvider.shutdown();
      };
    },
  };
}

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { memoryContingency, memoryStore } from 'event-sessions';
import { type Measured, prometheusMetrics } from 'event-sessions/prometheus';
import { Counter, Gauge, Registry } from 'prom-client';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { instance } from '../api/instance.js';
import { startPrometheus } from '../support/prometheus.js';
import { describeWith } from '../support/services.js';
import { waitFor } from '../support/wait-for.js';

function setUp(options: Parameters<typeof instance>[0] = {}) {
  const made = instance(options);
  const registry = new Registry();
  const { stop } = prometheusMetrics(made.sessions, registry);
  return { ...made, registry, stop, scrape: () => scrape(registry) };
}

/** What a scrape says: `{ 'event_sessions_started_total': 1, 'event_sessions_component_up{component="store"}': 1 }`. */
async function scrape(registry: Registry): Promise<Record<string, number>> {
  const text = await registry.metrics();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line): [string, number] => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe('the metrics', () => {
  test('count sessions and events', async () => {
    const { sessions, scrape } = setUp();
    await sessions.transaction(async (session) => {
      await session.add('order.placed', 1, { id: 'e-1' });
      await session.add('order.placed', 1, { id: 'e-1' });
      await session.add('order.placed', 2);
    });
    await (await sessions.startSession()).rollback();
    await sessions.startSession();
    expect(await scrape()).toMatchObject({
      event_sessions_started_total: 3,
      event_sessions_committed_total: 1,
      event_sessions_rolled_back_total: 1,
      event_sessions_expired_total: 0,
      event_sessions_active: 1,
      event_sessions_events_added_total: 2,
      event_sessions_events_published_total: 2,
      event_sessions_events_deferred_total: 0,
      event_sessions_events_failed: 0,
      event_sessions_commit_duration_seconds_count: 1,
      event_sessions_publish_duration_seconds_count: 1,
      'event_sessions_component_up{component="store"}': 1,
      'event_sessions_component_up{component="publisher"}': 1,
      'event_sessions_component_up{component="contingency"}': 1,
    });
  });

  test('count from the instance, and not from when they were asked for', async () => {
    const { sessions } = instance();
    await sessions.startSession();
    const registry = new Registry();
    prometheusMetrics(sessions, registry);
    expect(await scrape(registry)).toMatchObject({ event_sessions_started_total: 1 });
    expect(await scrape(registry)).toMatchObject({ event_sessions_started_total: 1 });
  });

  test('tell of an outage of the broker, and of the recovery from it', async () => {
    const { sessions, broker, scrape } = setUp();
    broker.down = true;
    await sessions.transaction(async (session) => {
      await session.add('order.placed', 1);
      await session.add('order.placed', 2);
    });
    const during = await scrape();
    expect(during).toMatchObject({
      event_sessions_events_deferred_total: 2,
      event_sessions_contingency_backlog_records: 2,
      'event_sessions_contingency_recorded_total{kind="event.unpublished"}': 2,
      'event_sessions_contingency_recorded_total{kind="session.commit_requested"}': 0,
      'event_sessions_failures_total{code="PUBLISH_FAILED"}': 1,
      'event_sessions_failures_total{code="STORE_UNAVAILABLE"}': 0,
    });
    expect(during.event_sessions_contingency_backlog_bytes).toBeGreaterThan(0);
    expect(during.event_sessions_contingency_backlog_oldest_age_seconds).toBeGreaterThanOrEqual(0);
    broker.down = false;
    await sessions.recover();
    expect(await scrape()).toMatchObject({
      event_sessions_events_recovered_total: 2,
      event_sessions_contingency_recovered_total: 2,
      event_sessions_contingency_backlog_records: 0,
      event_sessions_contingency_backlog_oldest_age_seconds: 0,
    });
  });

  test('tell of an outage of the store: what cannot be told is left out, the rest is there', async () => {
    const { sessions, store, scrape } = setUp();
    await sessions.startSession();
    expect(await scrape()).toHaveProperty('event_sessions_active');
    store.fault = 'down';
    await sessions.startSession();
    const during = await scrape();
    expect(during).not.toHaveProperty('event_sessions_active');
    expect(during).toMatchObject({
      event_sessions_started_total: 2,
      'event_sessions_component_up{component="store"}': 0,
      'event_sessions_contingency_recorded_total{kind="session.started"}': 1,
    });
  });

  test('tell age in seconds', async () => {
    const log = memoryContingency();
    const { scrape } = setUp({ contingency: log });
    const at = Date.now() - 60_000;
    await log.append([{ kind: 'session.started', sessionId: 's-1', at, metadata: '{}', ttlMs: 1_000 }]);
    const { event_sessions_contingency_backlog_oldest_age_seconds: age = 0 } = await scrape();
    expect(age).toBeGreaterThanOrEqual(60);
    expect(age).toBeLessThan(3_600);
  });

  test('count a commit that is taken over', async () => {
    const store = memoryStore();
    const { sessions, scrape } = setUp({ store });
    const { id } = await sessions.startSession();
    const cause = { instance: 'another' };
    const { outcome } = await store.beginCommit(id, { attemptId: 'a-1', leaseMs: 1_000, cause });
    expect(outcome).toBe('granted');
    await store.releaseCommit(id, 1);
    await sessions.session(id).commit();
    expect(await scrape()).toMatchObject({ event_sessions_commits_resumed_total: 1 });
  });

  test('have neither backlog nor component of a contingency log that there is not', async () => {
    const { scrape } = setUp({ contingency: false });
    const names = Object.keys(await scrape());
    expect(names).not.toContain('event_sessions_component_up{component="contingency"}');
    expect(names.filter((name) => name.includes('backlog'))).toEqual([]);
  });

  test('are as many as there are kinds and components, whatever sessions, topics and types there are', async () => {
    const { sessions, scrape } = setUp();
    const before = Object.keys(await scrape()).length;
    for (let i = 0; i < 50; i += 1) {
      await sessions.transaction((session) => session.add(`type-${i}`, i), { sessionId: `session-${i}` });
    }
    expect(Object.keys(await scrape())).toHaveLength(before);
  });
});

describe('a scrape', () => {
  test('asks the instance once, also when another one comes meanwhile', async () => {
    const { sessions } = instance();
    const metrics = vi.fn(sessions.metrics);
    const health = vi.fn(sessions.health);
    const registry = new Registry();
    prometheusMetrics({ ...sessions, metrics, health }, registry);
    await Promise.all([registry.metrics(), registry.metrics()]);
    expect([metrics.mock.calls.length, health.mock.calls.length]).toEqual([1, 1]);
    await registry.metrics();
    expect([metrics.mock.calls.length, health.mock.calls.length]).toEqual([2, 2]);
  });

  test('G8: does not fail after close()', async () => {
    const { sessions, scrape } = setUp();
    await sessions.startSession();
    await scrape();
    await sessions.close();
    const after = await scrape();
    expect(after).toMatchObject({ event_sessions_started_total: 1 });
    expect(after).not.toHaveProperty('event_sessions_active');
  });

  test('costs adds nothing: nobody listens to what they emit', async () => {
    const { sessions } = instance();
    const on = vi.fn(sessions.on);
    prometheusMetrics({ ...sessions, on }, new Registry());
    expect(on.mock.calls.map(([type]) => type)).not.toContain('event.added');
    expect(on.mock.calls.map(([type]) => type)).not.toContain('*');
  });
});

describe('stop', () => {
  test('takes the metrics and the listeners away, and only those; then they can be had again', async () => {
    const { sessions, registry, stop, scrape } = setUp();
    new Gauge({ name: 'mine', help: 'Of the user.', registers: [registry] }).set(1);
    const committed = vi.fn();
    sessions.on('session.committed', committed);
    stop();
    stop();
    expect(await scrape()).toEqual({ mine: 1 });
    prometheusMetrics(sessions, registry);
    await sessions.transaction((session) => session.add('order.placed', 1));
    expect(committed).toHaveBeenCalledOnce();
    expect(await scrape()).toMatchObject({ mine: 1, event_sessions_commit_duration_seconds_count: 1 });
  });
});

describe('bad input is refused before anything is registered', () => {
  test.each([
    ['no sessions', () => ({}), new Registry()],
    ['no registry', () => instance().sessions, {}],
    ['nothing', () => undefined, undefined],
  ])('%s', async (_, sessions, registry) => {
    expect(() => prometheusMetrics(sessions() as never, registry as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
    if (registry instanceof Registry) expect(registry.getMetricsAsArray()).toEqual([]);
  });

  test('a registry that has one of the names, and nothing of ours stays behind', async () => {
    const { sessions } = instance();
    const registry = new Registry();
    const name = 'event_sessions_contingency_quarantined_total';
    const theirs = new Counter({ name, help: 'Of the user.', registers: [registry] });
    const [on, off] = [vi.fn(sessions.on), vi.fn(sessions.off)];
    expect(() => prometheusMetrics({ ...sessions, on, off }, registry)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining(name) }),
    );
    expect(registry.getMetricsAsArray()).toEqual([theirs]);
    expect(off.mock.calls).toEqual(on.mock.calls);
  });

  test('a registry that has them already', async () => {
    const { registry, scrape } = setUp();
    expect(() => prometheusMetrics(instance().sessions, registry)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('of its own') }),
    );
    expect(await scrape()).toHaveProperty('event_sessions_started_total');
  });
});

describeWith('prometheus', ({ promtool }) => {
  test('promtool has nothing to say about names, units and help', async () => {
    const { sessions, broker, registry } = setUp();
    broker.down = true;
    await sessions.transaction((session) => session.add('order.placed', 1));
    const ended = new Promise<{ code: number | null; said: string }>((resolve) => {
      const child = execFile(promtool, ['check', 'metrics'], (_, stdout, stderr) =>
        resolve({ code: child.exitCode, said: stdout + stderr }),
      );
      registry.metrics().then((text) => child.stdin?.end(text));
    });
    expect(await ended).toEqual({ code: 0, said: '' });
  });

  test.each([
    ['text', Registry.PROMETHEUS_CONTENT_TYPE],
    ['OpenMetrics', Registry.OPENMETRICS_CONTENT_TYPE],
  ])('Prometheus scrapes them as %s', async (_, contentType) => {
    const { sessions } = instance();
    const registry = new Registry();
    registry.setContentType(contentType as typeof Registry.PROMETHEUS_CONTENT_TYPE);
    prometheusMetrics(sessions, registry);
    await sessions.transaction(async (session) => {
      await session.add('order.placed', 1);
      await session.add('order.placed', 2);
    });

    const server = createServer(async (_request, response) => {
      response.setHeader('content-type', registry.contentType);
      response.end(await registry.metrics());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const prometheus = await startPrometheus(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(prometheus.stop);

    const valuesOf = async (query: string) => (await prometheus.query(query)).map(({ value }) => value);
    await waitFor(async () => expect(await valuesOf('up')).toEqual([1]), 200);
    expect(await prometheus.target()).toMatchObject({ health: 'up', lastError: '' });
    expect(await valuesOf('event_sessions_events_published_total')).toEqual([2]);
    expect(await valuesOf('event_sessions_commit_duration_seconds_count')).toEqual([1]);
    expect(await valuesOf('sum(event_sessions_component_up)')).toEqual([3]);
    expect(await valuesOf('event_sessions_contingency_recorded_total{kind="event.added"}')).toEqual([0]);
    const [p99 = 0] = await valuesOf(
      'histogram_quantile(0.99, sum by (le) (event_sessions_commit_duration_seconds_bucket))',
    );
    expect(p99).toBeGreaterThan(0);
  });
});

test('an object of a class that passes calls on is measured too, and one that throws fails no scrape', async () => {
  const { sessions } = instance();
  await sessions.startSession();
  class Passing implements Measured {
    readonly inner: Measured = sessions;
    metrics = function (this: Passing) {
      return this.inner.metrics();
    };
    health(): ReturnType<Measured['health']> {
      throw new Error('not now');
    }
    on: Measured['on'] = (type, listener) => this.inner.on(type, listener);
    off: Measured['off'] = (type, listener) => this.inner.off(type, listener);
  }
  const registry = new Registry();
  prometheusMetrics(new Passing(), registry);
  expect(await scrape(registry)).toMatchObject({ event_sessions_started_total: 1 });
});

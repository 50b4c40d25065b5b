import {
  Counter,
  Gauge,
  Histogram,
  type OpenMetricsContentType,
  type PrometheusContentType,
  type Registry,
} from 'prom-client';
import * as z from 'zod/mini';
import type { DomainEventListener, DomainEventType } from '../core/domain-events.js';
import { EventSessionsError } from '../core/errors.js';
import { FAILURE_CODES, type MetricsSnapshot } from '../core/metrics.js';
import { validate, withMethods } from '../core/validate.js';
import type { EventSessions } from '../event-sessions.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';

/** The part of an `EventSessions` from which the metrics are taken. */
export type Measured = Pick<EventSessions, 'metrics' | 'health' | 'on' | 'off'>;

export type MetricsRegistry = Registry<PrometheusContentType> | Registry<OpenMetricsContentType>;

export interface PrometheusMetrics {
  /** Removes the metrics from the registry and the listeners from the sessions. Can be repeated. */
  stop(): void;
}

const PREFIX = 'event_sessions_';
/** Seconds, from what a commit takes on the memory adapters to one of 100,000 events and an outage in the middle. */
const COMMIT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Seconds; the publish deadline is 5 by default. */
const PUBLISH_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const KINDS = Object.keys({
  'session.started': true,
  'event.added': true,
  'session.commit_requested': true,
  'session.rollback_requested': true,
  'event.unpublished': true,
} satisfies Record<ContingencyRecord['kind'], true>);

const sessionsSchema = withMethods<Measured>(
  'what createEventSessions returned',
  'metrics',
  'health',
  'on',
  'off',
);
const registrySchema = withMethods<MetricsRegistry>(
  'a Registry of prom-client',
  ...(['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const),
);
const argumentsSchema = z.strictObject({ sessions: sessionsSchema, registry: registrySchema });

/**
 * Registers the metrics of one instance, all named `event_sessions_…`, in a registry of yours. Labels have few values,
 * all known beforehand; sessions and topics are not labels.
 *
 * Counts come from `sessions.metrics()` and `sessions.health()` at each scrape, so they cost an add nothing. A scrape
 * asks store, publisher and log, and takes as long as the slowest of them, at most its deadline. It never fails:
 * metrics that cannot be determined are left out.
 *
 * @throws `INVALID_INPUT`, also when the registry has these metrics already: give each instance a registry of its own.
 */
export function prometheusMetrics(sessions: Measured, registry: MetricsRegistry): PrometheusMetrics {
  validate(argumentsSchema, { sessions, registry }, 'prometheusMetrics');
  const registers = [registry];
  const names: string[] = [];
  const offs: (() => void)[] = [];
  const snapshot = shared(async () => sessions.metrics());
  const health = shared(async () => sessions.health());

  function stop(): void {
    for (const off of offs.splice(0)) off();
    for (const name of names.splice(0)) registry.removeSingleMetric(name);
  }

  function named(name: string, help: string) {
    const full = PREFIX + name;
    if (registry.getSingleMetric(full) !== undefined) {
      stop();
      const message = `The registry has ${full} already: give each instance a registry of its own`;
      throw new EventSessionsError('INVALID_INPUT', message);
    }
    names.push(full);
    return { name: full, help, registers };
  }

  /** A count that the library keeps itself. */
  function total(name: string, help: string, read: (snapshot: MetricsSnapshot) => number): void {
    new Counter({
      ...named(name, help),
      async collect() {
        const latest = await snapshot();
        if (latest === undefined) return;
        this.reset();
        this.inc(read(latest));
      },
    });
  }

  function gauge(name: string, help: string, read: (snapshot: MetricsSnapshot) => number | undefined): void {
    new Gauge({
      ...named(name, help),
      async collect() {
        const latest = await snapshot();
        const value = latest && read(latest);
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  function listen<T extends DomainEventType>(type: T, listener: DomainEventListener<T>): void {
    sessions.on(type, listener);
    offs.push(() => sessions.off(type, listener));
  }

  total('started_total', 'Sessions started.', ({ sessions }) => sessions.started);
  total('committed_total', 'Sessions brought to committed.', ({ sessions }) => sessions.committed);
  total('rolled_back_total', 'Sessions rolled back.', ({ sessions }) => sessions.rolledBack);
  total('expired_total', 'Open sessions found to have run out.', ({ sessions }) => sessions.expired);
  gauge(
    'active',
    'Sessions that are open or committing, over all instances on the same store.',
    ({ sessions }) => sessions.active,
  );

  total('events_added_total', 'Events taken by add, without duplicates.', ({ events }) => events.added);
  total('events_published_total', 'Events the broker took at a commit.', ({ events }) => events.published);
  total(
    'events_deferred_total',
    'Events written to the contingency log at a commit, because the broker could not take them.',
    ({ events }) => events.deferred,
  );
  total(
    'events_recovered_total',
    'Events published by recovery from the contingency log.',
    ({ events }) => events.recovered,
  );
  gauge(
    'events_failed',
    'Events left in the store by failed commits that no later attempt has dealt with.',
    ({ events }) => events.failed,
  );

  new Counter({
    ...named(
      'failures_total',
      'Failures of the store, the broker or the log, by code, also of those that the log made good.',
    ),
    labelNames: ['code'],
    async collect() {
      const latest = await snapshot();
      if (latest === undefined) return;
      this.reset();
      for (const code of FAILURE_CODES) this.inc({ code }, latest.failures[code]);
    },
  });

  gauge(
    'contingency_backlog_records',
    'Records in the contingency log that wait for recovery.',
    ({ contingency }) => contingency?.records,
  );
  gauge(
    'contingency_backlog_bytes',
    'Bytes of the contingency log that wait for recovery.',
    ({ contingency }) => contingency?.bytes,
  );
  gauge(
    'contingency_backlog_oldest_age_seconds',
    'Age of the oldest record that waits for recovery, 0 when none does.',
    ({ contingency, at }) => contingency && Math.max(0, at - (contingency.oldestAt ?? at)) / 1_000,
  );

  new Gauge({
    ...named('component_up', 'Whether the component would take something now (1) or not (0).'),
    labelNames: ['component'],
    async collect() {
      const latest = await health();
      this.reset();
      if (latest === undefined) return;
      for (const component of ['store', 'publisher', 'contingency'] as const) {
        const { status } = latest[component];
        if (status !== 'off') this.set({ component }, status === 'up' ? 1 : 0);
      }
    },
  });

  const commits = new Histogram({
    ...named(
      'commit_duration_seconds',
      'Time from the call of commit to its receipt, of sessions committed.',
    ),
    buckets: COMMIT_BUCKETS,
  });
  listen('session.committed', ({ durationMs }) => commits.observe(durationMs / 1_000));

  const publishes = new Histogram({
    ...named('publish_duration_seconds', 'Time the broker took to acknowledge a batch.'),
    buckets: PUBLISH_BUCKETS,
  });
  listen('batch.published', ({ durationMs }) => publishes.observe(durationMs / 1_000));

  const resumed = new Counter(
    named('commits_resumed_total', 'Commit attempts that went on where another one was interrupted.'),
  );
  listen('session.committing', ({ epoch }) => {
    if (epoch > 1) resumed.inc();
  });

  const recorded = new Counter({
    ...named('contingency_recorded_total', 'Records written to the contingency log, by kind.'),
    labelNames: ['kind'],
  });
  // A series that begins with its first record would hide that one from increase().
  for (const kind of KINDS) recorded.inc({ kind }, 0);
  listen('contingency.recorded', ({ kind, records }) => recorded.inc({ kind }, records));

  const recovered = new Counter(
    named('contingency_recovered_total', 'Records of the contingency log that recovery has dealt with.'),
  );
  listen('contingency.recovered', ({ records }) => recovered.inc(records));

  const quarantined = new Counter(
    named(
      'contingency_quarantined_total',
      'Records that can never be replayed, kept for a person to look at.',
    ),
  );
  listen('contingency.quarantined', () => quarantined.inc());

  return { stop };
}

/** One call for all metrics of a scrape, and of scrapes that come meanwhile. Undefined when it fails. */
function shared<T>(call: () => Promise<T>): () => Promise<T | undefined> {
  let running: Promise<T | undefined> | undefined;
  return () => {
    running ??= call()
      .catch(() => undefined)
      .finally(() => {
        running = undefined;
      });
    return running;
  };
}

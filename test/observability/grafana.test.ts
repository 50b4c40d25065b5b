import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createEventSessions } from 'event-sessions';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { Registry } from 'prom-client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeWith } from '../support/services.js';

const FOLDER = fileURLToPath(new URL('../../docs/grafana', import.meta.url));

interface Variable {
  readonly type: string;
  readonly name: string;
  readonly datasource?: Reference;
  readonly query: string | { readonly query: string };
}
interface Reference {
  readonly type: string;
  readonly uid: string;
}
interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: Reference;
  readonly gridPos: Place;
  readonly fieldConfig?: { readonly defaults: object; readonly overrides: readonly unknown[] };
  readonly options?: object;
  readonly targets?: readonly {
    readonly refId: string;
    readonly datasource: Reference;
    readonly expr: string;
    readonly legendFormat: string;
    readonly instant: boolean;
    readonly range: boolean;
  }[];
}
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

const dashboard = JSON.parse(await readFile(`${FOLDER}/event-sessions.json`, 'utf8')) as Dashboard;
const alerts = await readFile(`${FOLDER}/alerts.yml`, 'utf8');
const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => [title, expr] as const),
);

/** The series that a scrape can have, and the values of their labels. */
const exported = await (async () => {
  const registry = new Registry();
  await using sessions = createEventSessions({ recovery: false });
  prometheusMetrics(sessions, registry);
  const series = new Map<string, Set<string>>();
  for (const [, name = '', labels = ''] of (await registry.metrics()).matchAll(
    /^([a-z_]+)(?:\{(.*)\})? /gm,
  )) {
    series.set(name, new Set([...(series.get(name) ?? []), ...labelsIn(labels)]));
  }
  return series;
})();

/** `kind="event.added"`, one by one; what is matched by a pattern counts as each of its words. */
function labelsIn(text: string): string[] {
  return [...text.matchAll(/\b(kind|component|code)(?:=|=~)"([^"]*)"/g)].flatMap(([, name, values = '']) =>
    values.split('|').map((value) => `${name}="${value}"`),
  );
}

function seriesIn(query: string): { name: string; labels: string[] }[] {
  return [...query.matchAll(/\b(event_sessions_\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', labels = '']) => ({
    name,
    labels: labelsIn(labels),
  }));
}

function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

describe('the dashboard', () => {
  const { panels, templating } = dashboard;
  const charts = panels.filter(({ type }) => type !== 'row');
  const chosen = { type: 'prometheus', uid: `\${datasource}` };

  test('has what an import asks for, and no data source of anybody', () => {
    expect(dashboard).toMatchObject({ uid: 'event-sessions', title: 'Event sessions' });
    // From 36 on every reference to a data source is an object.
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
    expect(dashboard).not.toHaveProperty('id');
    expect(dashboard).not.toHaveProperty('__inputs');
    expect(templating.list.map(({ type, name, datasource }) => [type, name, datasource])).toEqual([
      ['datasource', 'datasource', undefined],
      ['query', 'job', chosen],
      ['query', 'instance', chosen],
    ]);
    for (const { title, datasource, targets = [] } of charts) {
      for (const reference of [datasource, ...targets.map((target) => target.datasource)])
        expect(reference, title).toEqual(chosen);
    }
  });

  test('has panels of kinds that every Grafana has, with a query each, told apart by their ids', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, type, fieldConfig, options, targets = [] } of charts) {
      expect(['stat', 'timeseries'], title).toContain(type);
      expect(fieldConfig, title).toMatchObject({ defaults: { unit: expect.any(String) }, overrides: [] });
      expect(options, title).toBeTypeOf('object');
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      for (const { instant, range, legendFormat } of targets) {
        expect([instant, range], title).toEqual(type === 'stat' ? [true, false] : [false, true]);
        expect(legendFormat, title).not.toBe('');
      }
    }
  });

  test('has places for its panels, none over another', () => {
    for (const [i, { title, gridPos }] of panels.entries()) {
      expect(gridPos.x, title).toBeGreaterThanOrEqual(0);
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (const other of panels.slice(i + 1))
        expect(overlap(gridPos, other.gridPos), `${title} and ${other.title}`).toBe(false);
    }
  });

  test.each(queries)('%s asks for what there is: %s', (_, expr) => {
    const asked = seriesIn(expr);
    expect(asked.length).toBeGreaterThan(0);
    for (const { name } of asked) expect([...exported.keys()]).toContain(name);
  });

  test('shows every metric', () => {
    const shown = new Set(queries.flatMap(([, expr]) => seriesIn(expr).map(({ name }) => name)));
    expect([...exported.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  test('has variables that ask for what there is', () => {
    const asked = dashboard.templating.list.flatMap(({ query }) =>
      seriesIn(typeof query === 'string' ? query : query.query),
    );
    expect(asked).toHaveLength(2);
    for (const { name } of asked) expect([...exported.keys()]).toContain(name);
  });
});

test('the alerts ask for what there is, labels included', () => {
  const asked = seriesIn(alerts);
  expect(asked.length).toBeGreaterThan(8);
  for (const { name, labels } of asked) {
    expect([...exported.keys()]).toContain(name);
    for (const label of labels) expect([...(exported.get(name) ?? [])], name).toContain(label);
  }
});

describeWith('prometheus', ({ promtool }) => {
  const run = (...args: string[]) => promisify(execFile)(promtool, args, { cwd: FOLDER });

  test('promtool finds the alerts in order, and they fire when they should', async () => {
    expect((await run('check', 'rules', '--lint-fatal', 'alerts.yml')).stdout).toContain('8 rules found');
    expect((await run('test', 'rules', 'alerts.test.yml')).stdout).toContain('SUCCESS');
  });

  test('every alert is in the tests of promtool, fires there and stays silent there', async () => {
    const tests = await readFile(`${FOLDER}/alerts.test.yml`, 'utf8');
    const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
    for (const name of names) {
      expect(tests, name).toMatch(new RegExp(`alertname: ${name}\n +exp_alerts:`));
      expect(tests, name).toMatch(new RegExp(`alertname: ${name}\n(?! +exp_alerts:)`));
    }
  });

  test('every query of the dashboard is PromQL', async () => {
    // What Grafana puts in the place of its variables.
    const filled = queries.map(([, expr]) =>
      expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, 'x'),
    );
    const rules = filled.map((expr, i) => ({ record: `query_${i}`, expr }));
    const folder = await mkdtemp(join(tmpdir(), 'event-sessions-queries-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'queries.yml');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
    expect((await run('check', 'rules', '--lint=none', file)).stdout).toContain(
      `${rules.length} rules found`,
    );
  });
});

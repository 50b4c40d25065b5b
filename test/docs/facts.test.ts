import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createEventSessions, type MetricsSnapshot } from 'event-sessions';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { DOMAIN_EVENT_TYPES } from '../../src/core/domain-events.js';
import { ERROR_CODES } from '../../src/core/errors.js';
import { resolveOptions } from '../../src/options.js';
import { codeIn, pages, ROOT, tableBelow } from './markdown.js';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  engines: { node: string };
};
const textOf = (page: string) => pages.find(({ path }) => path === page)?.text ?? '';

test('the Node version of the README is the one of the package', () => {
  const [, version] = /Node (\d+\.\d+) or later/.exec(textOf('README.md')) ?? [];
  expect(manifest.engines.node).toBe(`>=${version}`);
});

describe('the options of the README', () => {
  const rows = tableBelow('README.md', '## Options').map(([names = '', value = '']) => ({
    names: codeIn(names),
    value,
  }));
  const defaults = flat(resolveOptions({}));

  test('are all there are', () => {
    const known = [
      ...defaults.keys(),
      ...['store', 'publisher', 'contingency', 'events', 'topic', 'logger', 'instrumentation', 'instanceId'],
    ];
    expect(rows.flatMap(({ names }) => names).sort()).toEqual(known.sort());
  });

  test('have the defaults that the code has', () => {
    for (const [path, value] of defaults) {
      const row = rows.find(({ names }) => names.includes(path));
      const told =
        typeof value === 'number' ? row?.value.replace(/ ms$/, '').replaceAll(',', '') : row?.value;
      expect(told, path).toBe(typeof value === 'number' ? String(value) : `\`${value}\``);
    }
  });
});

test('the errors of the README are all there are', () => {
  const codes = tableBelow('README.md', '## Errors').flatMap(([code = '']) => codeIn(code));
  expect(codes).toEqual([...ERROR_CODES]);
});

test('the errors of a session are those of its commands and queries', () => {
  const told = (path: string, declaration: string) => {
    const [before = ''] = readFileSync(join(ROOT, 'src', path), 'utf8').split(declaration);
    const codes = codeIn(before.slice(before.lastIndexOf('@throws')));
    return codes.filter((code) => (ERROR_CODES as readonly string[]).includes(code));
  };
  const SAME = [
    ['add<', 'commands/add-events.ts', 'export type AddEvents ='],
    ['commit(', 'commands/commit-session.ts', 'export type CommitSession ='],
    ['rollback(', 'commands/rollback-session.ts', 'export type RollbackSession ='],
    ['extend(', 'commands/extend-session.ts', 'export type ExtendSession ='],
    ['status(', 'queries/get-session-status.ts', 'export type GetSessionStatus ='],
    ['events(', 'queries/get-session-events.ts', 'export type GetSessionEvents ='],
  ] as const;
  for (const [method, path, type] of SAME) {
    expect(told('session.ts', `\n  ${method}`), method).toEqual(told(path, type));
  }
  const start = told('commands/start-session.ts', 'export type StartSession =');
  expect(told('event-sessions.ts', '\n  startSession(')).toEqual(start);
});

test('the domain events of the concepts are all there are', () => {
  const told = tableBelow('docs/concepts.md', '## Domain events').flatMap(([cell = '']) => codeIn(cell));
  expect(told.sort()).toEqual([...DOMAIN_EVENT_TYPES].sort());
});

test('the metrics of the concepts are all there are', () => {
  const fields: { [K in keyof MetricsSnapshot]: readonly (keyof NonNullable<MetricsSnapshot[K]>)[] } = {
    at: [],
    instanceId: [],
    uptimeMs: [],
    events: [
      'added',
      'processed',
      'published',
      'deferred',
      'failed',
      'recovered',
      'successRate',
      'perMinute',
    ],
    sessions: ['active', 'started', 'committed', 'rolledBack', 'expired'],
    commitDuration: ['count', 'meanMs', 'p50Ms', 'p95Ms', 'p99Ms'],
    failures: [],
    recentFailures: [],
    contingency: ['records', 'bytes', 'oldestAt'],
  };
  const told = tableBelow('docs/concepts.md', '## Metrics').flat().join(' ');
  const words = new Set(codeIn(told).flatMap((code) => code.split(/[.\s]/)));
  for (const [group, names] of Object.entries(fields)) {
    for (const name of [group, ...names]) expect([...words]).toContain(name);
  }
});

test('the metrics of Prometheus are all there are, with their types', async () => {
  const sessions = createEventSessions({ recovery: false });
  const registry = new Registry();
  prometheusMetrics(sessions, registry);
  const registered = (await registry.getMetricsAsJSON()).map(({ name, type }) => [name, type]);
  await sessions.close();
  const told = tableBelow('docs/observability.md', '## Prometheus').flatMap(([names = '', type]) =>
    codeIn(names).map((name) => [name, type]),
  );
  expect(told.sort()).toEqual(registered.sort());
});

test('every guarantee has tests that are named by its number', () => {
  const told = pages.flatMap(({ text }) =>
    [...text.matchAll(/^(?:## |\| )(G\d)\b/gm)].map(([, name = '']) => name),
  );
  const titles = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .flatMap((path) => readFileSync(join(ROOT, 'test', path), 'utf8').split('\n'))
    .filter((line) => /\b(test|it|describe)\b.*\(/.test(line))
    .join('\n');
  expect(new Set(told).size).toBe(8);
  for (const name of told) expect(titles).toMatch(new RegExp(`\\b${name}\\b`));
});

describe('the defaults of the adapters', () => {
  // What the tables say must also stand in the docstrings, where an editor shows it.
  test.each([
    ['## redisStore', 'src/adapters/redis/redis-store.ts'],
    ['## nsqPublisher', 'src/adapters/nsq/nsq-options.ts'],
    ['## fileContingency', 'src/adapters/file/file-contingency.ts'],
  ])('%s are told for every option', (heading, file) => {
    const source = readFileSync(join(ROOT, file), 'utf8');
    for (const [names = '', value = ''] of tableBelow('docs/adapters.md', heading)) {
      for (const name of codeIn(names)) expect(source, name).toMatch(new RegExp(`readonly ${name}\\??:`));
      const plain = value.replace(/`/g, '').replace(' ms', '');
      if (/^[\d,]+$/.test(plain)) expect(source, names).toMatch(asInCode(plain));
    }
  });
});

/** 33,554,432 stands in the code as `33_554_432`, `32 * 1_048_576` or `1024 ** 3`. */
function asInCode(number: string): RegExp {
  const value = Number(number.replaceAll(',', ''));
  const forms = [
    number.replaceAll(',', '_'),
    value === 1024 ** 3 ? '1024 \\*\\* 3' : `${value / 1_048_576} \\* 1_048_576`,
  ];
  return new RegExp(`\\b(${forms.join('|')})\\b`);
}

function flat(value: object, prefix = ''): Map<string, unknown> {
  return new Map(
    Object.entries(value).flatMap(([key, inner]): [string, unknown][] =>
      typeof inner === 'object' && inner !== null
        ? [...flat(inner, `${prefix}${key}.`)]
        : inner === undefined
          ? []
          : [[prefix + key, inner]],
    ),
  );
}

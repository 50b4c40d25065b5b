import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { run } from './run.js';

const { bare, full, ioredis6 } = inject('packed');

const WORK = `
  const sessions = createEventSessions();
  const session = await sessions.startSession();
  await session.add('order.placed', { total: 42 });
  const { status, events, published } = await session.commit();
  await sessions.close();
  console.log(JSON.stringify({ status, events, published }));
`;
const DONE = { status: 'committed', events: 1, published: 1 };

describe('installed alone in an empty project', () => {
  it('does its main job as an ES module', async () => {
    await writeFile(join(bare, 'main.mjs'), `import { createEventSessions } from 'event-sessions';\n${WORK}`);
    expect(JSON.parse(await run(process.execPath, ['main.mjs'], bare))).toEqual(DONE);
  });

  it('does its main job as a CommonJS module', async () => {
    await writeFile(
      join(bare, 'main.cjs'),
      `const { createEventSessions } = require('event-sessions');\n(async () => {${WORK}})();`,
    );
    expect(JSON.parse(await run(process.execPath, ['main.cjs'], bare))).toEqual(DONE);
  });

  it.each([
    'event-sessions',
    'event-sessions/file',
    'event-sessions/http',
    'event-sessions/express',
    'event-sessions/fastify',
    'event-sessions/testing',
  ])('loads %s without any peer', async (entry) => {
    expect(await namesOf(entry, bare)).toEqual(expect.arrayContaining([expect.any(String)]));
  });

  it('brings no dependency', async () => {
    const packages = (await readdir(join(bare, 'node_modules'))).filter((name) => !name.startsWith('.'));
    expect(packages.sort()).toEqual(['event-sessions']);
  });
});

describe.each([
  ['ioredis 5', full],
  ['ioredis 6', ioredis6],
])('installed with %s and nsqjs', (_, dir) => {
  it.each([
    ['event-sessions', 'createEventSessions'],
    ['event-sessions/redis', 'redisStore'],
    ['event-sessions/nsq', 'nsqPublisher'],
    ['event-sessions/file', 'fileContingency'],
    ['event-sessions/prometheus', 'prometheusMetrics'],
    ['event-sessions/opentelemetry', 'openTelemetry'],
    ['event-sessions/http', 'createHttpHandler'],
    ['event-sessions/express', 'eventSessionsRouter'],
    ['event-sessions/fastify', 'eventSessionsPlugin'],
    ['event-sessions/testing', undefined],
  ])('gives %s the same names as ESM and as CJS', async (entry, name) => {
    const names = await namesOf(entry, dir);
    expect(names).toEqual(expect.arrayContaining([name ?? expect.any(String)]));
  });
});

/** The exported names of an entry point; they must be the same for `import` and `require`. */
async function namesOf(entry: string, dir: string): Promise<string[]> {
  const print = 'console.log(JSON.stringify(Object.keys(it).sort()))';
  const esm = ['--input-type=module', '-e', `import * as it from '${entry}'; ${print}`];
  const cjs = ['--input-type=commonjs', '-e', `const it = require('${entry}'); ${print}`];
  const imported = JSON.parse(await run(process.execPath, esm, dir)) as string[];
  const required = JSON.parse(await run(process.execPath, cjs, dir)) as string[];
  expect(required).toEqual(imported);
  return imported;
}

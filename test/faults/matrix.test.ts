import { open } from 'node:fs/promises';
import { redisStore } from 'event-sessions/redis';
import { afterAll, describe, expect, test } from 'vitest';
import { needs } from '../support/services.js';
import { fileOperations } from './coverage.js';
import { handleMethods } from './file-border.js';
import { type Lab, openLab } from './lab.js';
import { nameOf, pointCases, thinned } from './points.js';
import { scriptNames } from './redis-border.js';
import { scenarios } from './scenarios/index.js';

/** Cases at a time; the default of vitest's `maxConcurrency`. */
const PLACES = 5;

const options = needs('redis', 'nsqd');
const lab = options.skip ? undefined : await openLab(PLACES);
const recordings = await recordAll(lab);
const all = recordings.flatMap(pointCases);
const cases = process.env.FAULT_POINTS === 'all' ? all : thinned(all);
const names = new Set(recordings.flatMap(({ reached }) => reached.map(nameOf)));
const visited = new Set<string>();

afterAll(async () => {
  await lab?.close();
  console.log(
    ` ${visited.size} fault points at ${names.size} operations visited, in ${cases.length} of ${all.length} cases of ${scenarios.length} scenarios`,
  );
});

describe('a fault', options, () => {
  if (lab === undefined) return test('at every point', () => {});

  describe.concurrent.each(recordings)('$scenario', ({ scenario }) => {
    const mine = cases.filter((pointCase) => pointCase.scenario === scenario);
    test.for(mine)('$fault.operation/$fault.edge: $fault.action', async (pointCase) => {
      await lab.visit(pointCase.scenario, pointCase.fault);
      for (const point of pointCase.points) visited.add(`${pointCase.scenario}: ${point}`);
    });
  });
});

describe('no operation is forgotten', options, () => {
  test('every Lua script is run, as it is and by its text', () => {
    const run = scriptNames.filter((name) => names.has(`redis.${name}`));
    expect(run).toEqual(scriptNames);
    expect(names).toContain('redis.APPEND(eval)');
  });

  test('every method of the store is called', () => {
    const client = { evalsha: async () => {}, eval: async () => {} };
    const methods = Object.keys(redisStore({ client })).filter((method) => method !== 'close');
    const called = new Set(recordings.flatMap((recording) => recording.methods));
    expect(methods.filter((method) => !called.has(method))).toEqual([]);
  });

  test('every function and every method of a handle that the file adapter uses is called', async () => {
    const handle = await open(import.meta.filename);
    const used = fileOperations(handleMethods(handle));
    await handle.close();
    const called = (prefix: string) => [...names].filter((name) => name.startsWith(prefix));
    expect(used.functions.length).toBeGreaterThan(5);
    expect(used.functions.filter((name) => called(`file.${name}`).length === 0)).toEqual([]);
    expect(used.methods.filter((name) => called(`file.handle.${name}(`).length === 0)).toEqual([]);
  });

  test('nsqd is connected to and published to', () => {
    expect([...names].filter((name) => name.startsWith('nsqd.')).sort()).toEqual([
      'nsqd.connect',
      'nsqd.publish',
    ]);
  });

  test('there are at least 50 points, and each is visited', () => {
    const points = new Set(
      cases.flatMap(({ scenario, points }) => points.map((point) => `${scenario}: ${point}`)),
    );
    expect(points.size).toBeGreaterThanOrEqual(50);
    expect([...points].filter((point) => !visited.has(point))).toEqual([]);
  });
});

async function recordAll(lab: Lab | undefined) {
  return Promise.all(
    scenarios.map(async ({ name }) => {
      const { reached = [], methods = [] } = (await lab?.record(name)) ?? {};
      return { scenario: name, reached, methods };
    }),
  );
}

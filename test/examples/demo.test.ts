import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { freePort } from '../support/process.js';
import { describeWithAll } from '../support/services.js';
import { runExample } from './run-example.js';

const STEPS = [
  'opening',
  'checkout',
  'retry',
  'commit',
  'rollback',
  'refusals',
  'outage',
  'metrics',
  'ending',
];

const OWN_TOPIC = /^demo-[0-9a-f]{6}\./;

type Facts = Record<string, unknown>;

async function runJson(...args: string[]): Promise<Map<string, Facts>> {
  const { code, stdout, stderr } = await runExample('demo.ts', ['--json', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const steps = stdout.trimEnd().split('\n');
  return new Map(steps.map((line) => JSON.parse(line)).map((facts) => [facts.step, facts]));
}

/** What must be true of every run, on whatever servers. */
function expectTheStory(steps: Map<string, Facts>) {
  expect([...steps.keys()]).toEqual(STEPS);
  const sessionId = steps.get('checkout')?.sessionId;
  expect(steps.get('checkout')).toMatchObject({ status: 'open', events: 3, received: 0 });
  expect(steps.get('retry')).toMatchObject({ eventId: 'o-1-paid', duplicate: true, events: 3 });
  expect(steps.get('commit')).toMatchObject({
    receipt: { sessionId, status: 'committed', events: 3, published: 3, deferred: 0 },
    sameReceipt: true,
    messages: [
      { type: 'order.placed', sequence: '0000000001', sessionid: sessionId },
      { type: 'order.paid', sequence: '0000000002', sessionid: sessionId, id: 'o-1-paid' },
      { type: 'mail.requested', sequence: '0000000003', sessionid: sessionId },
    ],
  });
  expect(steps.get('rollback')).toMatchObject({
    receipt: { status: 'rolled_back', discarded: 2 },
    published: 0,
    history: [{ status: 'open' }, { status: 'rolled_back', reason: 'card declined' }],
  });
  expect(steps.get('refusals')).toMatchObject({
    errors: [{ code: 'INVALID_EVENT' }, { code: 'UNKNOWN_EVENT_TYPE' }, { code: 'SESSION_NOT_OPEN' }],
  });
  expect(steps.get('outage')).toMatchObject({
    receipt: { status: 'committed', events: 2, published: 0, deferred: 2 },
    cause: 'PUBLISH_FAILED',
    backlog: 2,
    recovery: { published: 2, remaining: 0 },
    arrived: 2,
  });
  expect(steps.get('metrics')).toMatchObject({
    snapshot: {
      events: { added: 7, published: 3, deferred: 2, recovered: 2, failed: 0 },
      sessions: { active: 0, started: 4, committed: 2, rolledBack: 2 },
      contingency: { records: 0 },
    },
  });
  expect(steps.get('ending')).toMatchObject({ published: 5 });
}

describe('on the embedded default', () => {
  test('tells the story in prose, 80 columns wide and without colours off a terminal', async () => {
    const { code, stdout, stderr } = await runExample('demo.ts');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const words of ['the same receipt', 'duplicate: true', '2 deferred', 'UNKNOWN_EVENT_TYPE', 'p99']) {
      expect(stdout).toContain(words);
    }
    expect(stdout).not.toContain('\u001b');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  test('--json prints one object a step', async () => {
    const steps = await runJson();
    expectTheStory(steps);
    expect(steps.get('opening')).toMatchObject({ store: 'memory', broker: 'memory' });
  });
});

describe('when it is started wrongly', () => {
  test('--help prints the usage', async () => {
    const { code, stdout, stderr } = await runExample('demo.ts', ['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: npm run demo/);
  });

  test.each([
    [['--speed', '9'], "Unknown option '--speed'"],
    [['redis'], "Unexpected argument 'redis'"],
    [['--redis'], '--redis'],
    [['--redis', 'localhost:6379'], 'a redis:// or rediss:// URL'],
    [['--nsqd', 'localhost'], "an address 'host:port'"],
  ])('%j is answered with what is wrong, the usage and exit code 2', async (args, words) => {
    const { code, stdout, stderr } = await runExample('demo.ts', args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(words);
    expect(stderr).toContain('Usage: npm run demo');
    expect(stderr).not.toContain('    at ');
  });

  test('servers that are not there are named in a line each, with exit code 1', async () => {
    const [redis, nsqd] = [await freePort(), await freePort()];
    const args = ['--redis', `redis://u-1:secret@127.0.0.1:${redis}`, '--nsqd', `127.0.0.1:${nsqd}`];
    const { code, stdout, stderr } = await runExample('demo.ts', args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toEqual([
      `Redis cannot be reached at redis://127.0.0.1:${redis}. Is it running? To start one: redis-server`,
      `nsqd cannot be reached at 127.0.0.1:${nsqd}. Is it running? To start one: nsqd`,
    ]);
  });

  test('--json tells what is missing as an object', async () => {
    const nsqd = `127.0.0.1:${await freePort()}`;
    const { code, stdout, stderr } = await runExample('demo.ts', ['--json', '--nsqd', nsqd]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      step: 'missing',
      servers: [{ server: 'nsqd', address: nsqd }],
    });
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  test('runs the same story and leaves nothing behind', async () => {
    const steps = await runJson('--redis', redis.url, '--nsqd', nsqd.tcp);
    expectTheStory(steps);
    expect(steps.get('opening')).toMatchObject({
      store: `Redis at ${redis.url}`,
      broker: `nsqd at ${nsqd.tcp}`,
    });
    expect(steps.get('commit')).toMatchObject({
      messages: Array.from({ length: 3 }, () => ({ topic: expect.stringMatching(OWN_TOPIC) })),
    });

    expect(await keysOf(redis.url, 'event-sessions-demo-*')).toEqual([]);
    await expect.poll(() => topicsOf(nsqd.http)).not.toContainEqual(expect.stringMatching(OWN_TOPIC));
  });

  test('with one server only, the other part stays in memory', async () => {
    const [withRedis, withNsqd] = await Promise.all([
      runJson('--redis', redis.url),
      runJson('--nsqd', nsqd.tcp),
    ]);
    expectTheStory(withRedis);
    expectTheStory(withNsqd);
    expect(withRedis.get('opening')).toMatchObject({ store: `Redis at ${redis.url}`, broker: 'memory' });
    expect(withNsqd.get('opening')).toMatchObject({ store: 'memory', broker: `nsqd at ${nsqd.tcp}` });
  });
});

async function keysOf(url: string, pattern: string): Promise<string[]> {
  const redis = new Redis(url);
  try {
    return await redis.keys(pattern);
  } finally {
    redis.disconnect();
  }
}

async function topicsOf(http: string): Promise<string[]> {
  const response = await fetch(`http://${http}/stats?format=json`);
  const { topics } = (await response.json()) as { topics: { topic_name: string }[] };
  return topics.map(({ topic_name }) => topic_name);
}

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Cluster, Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { describeWith, needs, services } from './services.js';

describe('the services of a run', () => {
  it('are each either there or missing with a reason', () => {
    const { missing, ...there } = services();
    for (const name of ['redis', 'cluster', 'nsqd', 'prometheus'] as const)
      expect(there[name] === undefined, name).toBe(missing[name] !== undefined);
  });

  it('run only what has its service', needs('redis'), async () => {
    expect(services().redis?.url).toMatch(/^redis:\/\/127\.0\.0\.1:\d+$/);
  });
});

describeWith('redis', ({ url }) => {
  it('answers, and is not the one on the default port', async () => {
    const redis = new Redis(url);
    expect(await redis.ping()).toBe('PONG');
    expect(new URL(url).port).not.toBe('6379');
    await redis.quit();
  });
});

describeWith('cluster', ({ nodes }) => {
  it('takes keys of every slot range', async () => {
    const cluster = new Cluster([...nodes]);
    const keys = Array.from({ length: 30 }, (_, n) => `services-test:${n}`);
    await Promise.all(keys.map((key) => cluster.set(key, key, 'EX', 60)));
    expect(await Promise.all(keys.map((key) => cluster.get(key)))).toEqual(keys);
    expect(cluster.nodes('master')).toHaveLength(3);
    await cluster.quit();
  });
});

describeWith('nsqd', ({ http }) => {
  it('is healthy', async () => {
    const response = await fetch(`http://${http}/ping`);
    expect(await response.text()).toBe('OK');
  });
});

describeWith('prometheus', ({ promtool }) => {
  it('answers', async () => {
    const { stdout, stderr } = await promisify(execFile)(promtool, ['--version']);
    expect(stdout + stderr).toContain('promtool, version');
  });
});

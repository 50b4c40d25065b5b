import type { TestProject } from 'vitest/node';

export default function setup({ provide }: TestProject): void {
  if (process.env.FIXTURE_SETUP === 'throws') throw new Error('no setup today');
  provide('services', {
    redis: { url: 'redis://127.0.0.1:1' },
    missing: { nsqd: 'Go is not on the PATH', cluster: 'no room' },
    versions: { 'redis-server': '7.0.15' },
  });
}

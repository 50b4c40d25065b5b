import { Redis as Redis6 } from 'ioredis6';
import { afterAll, expect, test, vi } from 'vitest';

// Modules are shared with the test files before and after this one: what is imported from here on is evaluated anew.
vi.doMock('ioredis', () => import('ioredis6'));
vi.resetModules();
afterAll(() => {
  vi.doUnmock('ioredis');
  vi.resetModules();
});

await import('./foreign-server-cases.js');

test('all of this was about ioredis 6', async () => {
  const { Redis } = await import('ioredis');
  expect(Redis).toBe(Redis6);
});

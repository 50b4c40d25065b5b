import { Redis } from 'ioredis';
import { Redis as Redis6 } from 'ioredis6';
import { expect, test, vi } from 'vitest';
import './foreign-server-cases.js';

vi.mock('ioredis', () => import('ioredis6'));

test('all of this was about ioredis 6', () => {
  expect(Redis).toBe(Redis6);
});

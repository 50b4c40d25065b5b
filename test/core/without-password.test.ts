import { expect, test } from 'vitest';
import { withoutPassword } from '../../src/core/without-password.js';

test.each([
  ['redis://127.0.0.1:6379/0', 'redis://127.0.0.1:6379/0'],
  ['redis://user@host', 'redis://user@host'],
  ['redis://user:secret@host:6379/0', 'redis://user:***@host:6379/0'],
  ['rediss://:secret@host', 'rediss://:***@host'],
  ['redis://user:s@cret@host', 'redis://user:***@host'],
  ['redis://user:se/cr?et@host', 'redis://user:***@host'],
  ['redis://user:sec\nret@host\n', 'redis://user:***@host\n'],
  ['redis+sentinel://user:secret@host', 'redis+sentinel://user:***@host'],
  ['redis:/user:secret@host', 'redis:/user:***@host'],
  ['redis://host/0?password=secret&family=6', 'redis://host/0?password=***&family=6'],
  ['redis://host?db=1&sentinelPassword=secret', 'redis://host?db=1&sentinelPassword=***'],
  ['a:b@c', 'a:b@c'],
])('%j is shown as %j', (text, shown) => {
  expect(withoutPassword(text)).toBe(shown);
});

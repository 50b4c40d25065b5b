import { beforeAll, describe, expect, it } from 'vitest';

it('passes', () => {});
it('fails', () => expect(1).toBe(2));
describe('a suite whose hook throws', () => {
  beforeAll(() => {
    throw new Error('hook');
  });
  it('cannot run', () => {});
});

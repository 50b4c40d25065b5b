import { describe, expect, it } from 'vitest';
import { describeWith, describeWithAll, needs } from '../services.js';

describeWith('redis', ({ url }) => {
  it('runs', () => expect(url).toBe('redis://127.0.0.1:1'));
});
describeWith('nsqd', ({ tcp }) => {
  it(`is counted, on ${tcp}`, () => expect.unreachable());
  describe('inside', () => {
    it('is counted too', () => expect.unreachable());
  });
});
describeWithAll(['redis', 'cluster'], ({ cluster }) => {
  it('is left out when one of two is missing', () => expect(cluster).toBeDefined());
});
describe('options', needs('redis'), () => {
  it('runs in a suite', () => {});
  it('is left out as a single test', needs('nsqd'), () => expect.unreachable());
});
it('says why', (context) => context.skip('the moon is full'));
it.skip('says nothing', () => {});

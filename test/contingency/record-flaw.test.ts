import { expect, test } from 'vitest';
import { flawOf } from '../../src/contingency/record-flaw.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';

const event = '{"specversion":"1.0","id":"e-1","datacontenttype":"application/json","data":1}';
const sound = { kind: 'event.added', sessionId: 's-1', at: 1, topic: 'a', event } as const;

test('also the first record that is looked at is looked at', () => {
  const flaws = [{ ...sound, sessionId: '' }, { ...sound, topic: '' }, sound].map((record) =>
    flawOf(record as ContingencyRecord),
  );
  expect(flaws).toEqual(['its sessionId is no id', 'its topic is none', undefined]);
});

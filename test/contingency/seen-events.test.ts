import { expect, test } from 'vitest';
import { seenEvents } from '../../src/contingency/seen-events.js';
import type { EventUnpublishedRecord } from '../../src/ports/contingency-log.js';

function owed(sequence: number, event: string): EventUnpublishedRecord {
  return { kind: 'event.unpublished', sessionId: 's', at: 1, topic: 't', sequence, event };
}

/** As the log has read it from a larger piece. */
function asBytes(record: EventUnpublishedRecord): EventUnpublishedRecord {
  const buffer = Buffer.from(`before ${record.event} behind`);
  const start = 'before '.length;
  return { ...record, utf8: { buffer, start, end: start + Buffer.byteLength(record.event) } };
}

test('an event is known again by its session, its place and what it contains', () => {
  const seen = seenEvents();
  expect(seen.add(0, owed(1, '{"a":"é"}'))).toBe(true);
  expect(seen.add(0, owed(1, '{"a":"é"}'))).toBe(false);
  expect(seen.add(0, asBytes(owed(1, '{"a":"é"}')))).toBe(false);
  expect(seen.add(0, owed(1, '{"a":"e"}'))).toBe(true);
  expect(seen.add(0, owed(2, '{"a":"é"}'))).toBe(true);
  expect(seen.add(1, owed(1, '{"a":"é"}'))).toBe(true);
});

test('many events of many sessions are kept apart, and each is known again', () => {
  const seen = seenEvents();
  for (const expected of [20_000, 0]) {
    let news = 0;
    for (let session = 0; session < 40; session += 1) {
      for (let sequence = 1; sequence <= 500; sequence += 1) {
        // Half of them the same as in other sessions.
        const event = `{"n":${sequence % 2 === 0 ? sequence : session * 1_000 + sequence}}`;
        if (seen.add(session, owed(sequence, event))) news += 1;
      }
    }
    expect(news).toBe(expected);
  }
});

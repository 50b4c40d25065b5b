import { expect, test } from 'vitest';
import { createHeldRecords } from '../../src/contingency/held-records.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';

const added = (sessionId: string, event: string): ContingencyRecord => ({
  kind: 'event.added',
  sessionId,
  at: 0,
  topic: 't',
  event,
});

test('records are held by session, in order, until they are dropped', () => {
  const held = createHeldRecords(1_000_000);
  const [a, b, c] = [added('s-1', 'a'), added('s-2', 'b'), added('s-1', 'c')] as const;
  held.hold([a, b, c]);
  expect(held.of('s-1')?.records).toEqual([a, c]);
  held.drop('s-1', [a]);
  expect(held.of('s-1')?.records).toEqual([c]);
  held.drop('s-1', [c]);
  expect(held.of('s-1')).toBeUndefined();
  expect(held.of('s-2')?.records).toEqual([b]);
});

test('dropping what a recovery has already forgotten leaves newer records alone', () => {
  const held = createHeldRecords(1_000_000);
  const [old, newer] = [added('s-1', 'old'), added('s-1', 'newer')];
  held.hold([old]);
  held.forget(held.mark(), new Set());
  held.hold([newer]);
  held.drop('s-1', [old]);
  expect(held.of('s-1')?.records).toEqual([newer]);
});

test('forget takes what was held at the mark, but nothing newer and no session that is excepted', () => {
  const held = createHeldRecords(1_000_000);
  held.hold([added('s-1', 'a'), added('s-2', 'b')]);
  const mark = held.mark();
  const newer = added('s-1', 'c');
  held.hold([newer]);
  held.forget(mark, new Set(['s-2']));
  expect(held.of('s-1')?.records).toEqual([newer]);
  expect(held.of('s-2')?.records).toHaveLength(1);
});

test('G7: a session that does not fit is only remembered as spilled, until recovery has seen to it', () => {
  const held = createHeldRecords(1_000);
  held.hold([added('s-1', 'x'.repeat(100)), added('s-1', 'x'.repeat(1_000)), added('s-1', 'small')]);
  expect(held.of('s-1')).toMatchObject({ records: [{ event: 'x'.repeat(100) }], spilled: true });
  held.forget(held.mark(), new Set());
  expect(held.of('s-1')).toBeUndefined();
  held.hold([added('s-1', 'fits again')]);
  expect(held.of('s-1')).toMatchObject({ spilled: false });
});

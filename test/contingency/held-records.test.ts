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
  held.settle(held.mark(), new Map());
  held.hold([newer]);
  held.drop('s-1', [old]);
  expect(held.of('s-1')?.records).toEqual([newer]);
});

test('what was held at the mark is settled, but nothing newer and no session that has to wait', () => {
  const held = createHeldRecords(1_000_000);
  held.hold([added('s-1', 'a'), added('s-2', 'b')]);
  const mark = held.mark();
  const newer = added('s-1', 'c');
  held.hold([newer]);
  held.settle(mark, new Map([['s-2', { records: 1, end: undefined }]]));
  expect(held.of('s-1')?.records).toEqual([newer]);
  expect(held.of('s-2')?.records).toHaveLength(1);
});

test('G7: a session that does not fit is only remembered as spilled, until recovery has seen to it', () => {
  const held = createHeldRecords(1_000);
  held.hold([added('s-1', 'x'.repeat(100)), added('s-1', 'x'.repeat(1_000)), added('s-1', 'small')]);
  expect(held.of('s-1')).toMatchObject({ records: [{ event: 'x'.repeat(100) }], spilled: true });
  held.settle(held.mark(), new Map());
  expect(held.of('s-1')).toBeUndefined();
  held.hold([added('s-1', 'fits again')]);
  expect(held.of('s-1')).toMatchObject({ spilled: false });
});

test('what was recorded after the mark stays, also when all before it has been healed meanwhile', () => {
  const held = createHeldRecords(1_000_000);
  const [old, newer] = [added('s-1', 'old'), added('s-1', 'newer')];
  held.hold([old]);
  const mark = held.mark();
  held.drop('s-1', [old]);
  held.hold([newer]);
  held.settle(mark, new Map());
  expect(held.of('s-1')?.records).toEqual([newer]);
});

test('how a session was asked to end is known, although the rest did not fit', () => {
  const held = createHeldRecords(300);
  held.hold([
    added('s-1', 'x'.repeat(1_000)),
    { kind: 'session.commit_requested', sessionId: 's-1', at: 0, attemptId: 'a' },
    { kind: 'session.rollback_requested', sessionId: 's-1', at: 0 },
  ]);
  expect(held.of('s-1')).toMatchObject({ records: [], spilled: true, end: 'session.commit_requested' });
});

test('a session that waits in the log is held, whoever recorded it, until a later pass brings it back', () => {
  const held = createHeldRecords(1_000_000);
  held.settle(held.mark(), new Map([['s-1', { records: 2, end: 'session.rollback_requested' }]]));
  expect(held.of('s-1')).toMatchObject({ spilled: true, end: 'session.rollback_requested' });
  held.settle(held.mark(), new Map());
  expect(held.of('s-1')).toBeUndefined();
});

test('what is held of a session is not replayed by itself when the log has more in front of it', () => {
  const held = createHeldRecords(1_000_000);
  held.hold([added('s-1', 'mine')]);
  const mark = held.mark();
  held.hold([added('s-1', 'newer')]);
  held.settle(mark, new Map([['s-1', { records: 3, end: undefined }]]));
  expect(held.of('s-1')).toMatchObject({ records: [], spilled: true });
  held.settle(held.mark(), new Map());
  expect(held.of('s-1')).toBeUndefined();
});

import type { SessionStore } from 'event-sessions';
import { CAUSE, LIMITS, newEvent, newSession, RETENTION } from '../../src/testing/store-sessions.js';

export const ATTEMPT = { attemptId: 'a', leaseMs: 1_000, cause: CAUSE };
const STEP = { epoch: 1, cursor: 1, deferred: 0 };
export const RECEIPT = {
  sessionId: 's-1',
  status: 'committed',
  events: 1,
  published: 1,
  deferred: 0,
  durationMs: 1,
} as const;
const FINISH = { ...STEP, receipt: RECEIPT, retentionMs: 1_000, cause: CAUSE };
export const RANGE = { after: 0, limit: 2, maxBytes: 100 };

/** A call of every method of a store. */
export const METHODS = {
  start: (store) => store.start(newSession()),
  append: (store) => store.append('s-1', [newEvent('s-1'), newEvent('s-1')], LIMITS),
  extend: (store) => store.extend('s-1', 1_000),
  beginCommit: (store) => store.beginCommit('s-1', ATTEMPT),
  advance: (store) => store.advance('s-1', { ...STEP, leaseMs: 1_000 }),
  finishCommit: (store) => store.finishCommit('s-1', FINISH),
  releaseCommit: (store) => store.releaseCommit('s-1', 1),
  rollback: (store) => store.rollback('s-1', RETENTION),
  expire: (store) => store.expire('s-1', { ...RETENTION, graceMs: 0 }),
  get: (store) => store.get('s-1'),
  read: (store) => store.read('s-1', RANGE),
  contains: (store) => store.contains('s-1', ['e-1', 'e-2']),
  list: (store) => store.list({ limit: 2 }),
  due: (store) => store.due(1),
  countActive: (store) => store.countActive(),
  ping: (store) => store.ping(),
} satisfies { [Method in keyof Omit<SessionStore, 'close'>]: (store: SessionStore) => Promise<unknown> };

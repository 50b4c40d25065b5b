import assert from 'node:assert/strict';
import { type AcceptedEvent, encodeEnvelope } from '../core/event.js';
import { newId } from '../core/ids.js';
import type { NewSession, SessionLimits, SessionStore } from '../ports/session-store.js';

export const LIMITS: SessionLimits = { maxSessionEvents: 100_000, maxSessionBytes: 100_000_000 };
export const CAUSE = { instance: 'conformance' };
export const RETENTION = { retentionMs: 60_000, cause: CAUSE };
/** For `expire`: without a grace, and with one that does not end here. */
export const AT_ONCE = { ...RETENTION, graceMs: 0 };
export const PATIENT = { ...RETENTION, graceMs: 60_000 };

export function newSession(change: Partial<NewSession> = {}): NewSession {
  return { sessionId: newId(), metadata: '{}', ttlMs: 60_000, cause: CAUSE, ...change };
}

export function newEvent(
  sessionId: string,
  change: { id?: string; data?: unknown; topic?: string } = {},
): AcceptedEvent {
  const { id = newId(), data = null, topic = 'conformance' } = change;
  const attributes = { id, source: '/conformance', type: 'case', time: '2025-01-01T00:00:00Z', sessionId };
  return { id, topic, json: encodeEnvelope(attributes, JSON.stringify(data)) };
}

export async function isDue(store: SessionStore, sessionId: string): Promise<boolean> {
  return (await store.due(1_000)).includes(sessionId);
}

export async function started(store: SessionStore, change: Partial<NewSession> = {}): Promise<string> {
  const session = newSession(change);
  assert.deepEqual(await store.start(session), { outcome: 'created' });
  return session.sessionId;
}

/** A session with `count` events, whose data are 1, 2, 3, … */
export async function filled(
  store: SessionStore,
  count: number,
): Promise<{ sessionId: string; events: AcceptedEvent[] }> {
  const sessionId = await started(store);
  const events = Array.from({ length: count }, (_, i) => newEvent(sessionId, { data: i + 1 }));
  if (count > 0) assert.equal((await store.append(sessionId, events, LIMITS)).outcome, 'appended');
  return { sessionId, events };
}

export async function readAll(store: SessionStore, sessionId: string): Promise<string[]> {
  return (await store.read(sessionId, { after: 0, limit: 1_000, maxBytes: 100_000_000 })).map(
    ({ json }) => json,
  );
}

import { existsSync, readFileSync } from 'node:fs';
import { eventIdOf } from '../../src/core/event.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import type { FinalSession, Quarantined } from './observations.js';

/** What the store holds of these sessions at the end. */
export async function observeSessions(
  store: SessionStore,
  sessionIds: Iterable<string>,
): Promise<Map<string, FinalSession>> {
  const sessions = new Map<string, FinalSession>();
  for (const sessionId of sessionIds) {
    const record = await store.get(sessionId);
    if (record === undefined) continue;
    const eventIds: string[] = [];
    for (;;) {
      const range = { after: eventIds.length, limit: 1_000, maxBytes: 16 * 1_048_576 };
      const page = await store.read(sessionId, range);
      if (page.length === 0) break;
      eventIds.push(...page.map(({ json }) => eventIdOf(json)));
    }
    sessions.set(sessionId, { status: record.status, events: record.events, eventIds });
  }
  return sessions;
}

/** What a `fileContingency` has set aside for a person. */
export function observeQuarantine(log: string, path: string): Quarantined[] {
  const file = `${path}.quarantine.jsonl`;
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => toQuarantined(log, line));
}

function toQuarantined(log: string, line: string): Quarantined {
  try {
    const { reason, record } = JSON.parse(line) as {
      reason: string;
      record?: { kind: string; sessionId: string; event?: { id: string } };
    };
    if (record === undefined) return { log, reason };
    const { kind, sessionId, event } = record;
    return { log, reason, record: { kind, sessionId, eventId: event?.id } };
  } catch {
    return { log, reason: 'a line of the quarantine that is torn itself' };
  }
}

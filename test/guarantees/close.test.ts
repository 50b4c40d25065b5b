import { createEventSessions, memoryStore } from 'event-sessions';
import { describe, expect, test } from 'vitest';

describe('close', () => {
  test('waits no longer than it is told to for what does not end', async () => {
    const store = { ...memoryStore(), append: () => new Promise<never>(() => {}) };
    const warnings: unknown[] = [];
    const logger = {
      debug() {},
      info() {},
      warn: (message: string, context?: object) => warnings.push({ message, ...context }),
      error() {},
    };
    const sessions = createEventSessions({ store, logger });
    const session = await sessions.startSession();
    void session.add('a', 1);
    await sessions.close({ timeoutMs: 20 });
    expect(warnings).toEqual([
      { message: 'Closed while calls were still under way', calls: 1, timeoutMs: 20 },
    ]);
    await expect(session.status()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('refuses a time that is none, and goes on', async () => {
    const sessions = createEventSessions();
    await expect(sessions.close({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await sessions.startSession();
    await sessions.close();
  });
});

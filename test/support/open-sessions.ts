import { createEventSessions } from 'event-sessions';
import { onTestFinished } from 'vitest';

/** An instance that is closed with its test: what it does by itself would go on in the next files of the worker. */
export const openSessions: typeof createEventSessions = (options) => {
  const sessions = createEventSessions(options);
  onTestFinished(() => sessions.close());
  return sessions;
};

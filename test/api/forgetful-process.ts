import { createEventSessions, memoryStore } from 'event-sessions';

// Forgets to wait for calls that fail. Prints which of them Node has heard of.
const down = () => Promise.reject(new Error('down'));
const store = new Proxy(memoryStore(), { get: () => down });
const sessions = createEventSessions({ store, contingency: false, recovery: false, logger: false });
const session = sessions.session('s-1');
const calls: Record<string, () => Promise<unknown>> = {
  startSession: () => sessions.startSession(),
  add: () => session.add('a', 1),
  addMany: () => session.addMany([{ type: 'a', data: 1 }]),
  commit: () => session.commit(),
  rollback: () => session.rollback(),
  status: () => session.status(),
  events: () => session.events(),
  extend: () => session.extend(),
  transaction: () => sessions.transaction(() => {}),
  addEvents: () => sessions.commands.addEvents({ sessionId: 's-1', events: [{ type: 'a', data: 1 }] }),
  getSessionStatus: () => sessions.queries.getSessionStatus({ sessionId: 's-1' }),
};
const heard = new Map<Promise<unknown>, string>();
process.on('unhandledRejection', (_, promise) => {
  console.log(heard.get(promise));
});
for (const [name, call] of Object.entries(calls)) heard.set(call(), name);

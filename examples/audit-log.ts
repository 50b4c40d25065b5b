import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createEventSessions } from 'event-sessions';

// Who did what to which session, and how it ended: every domain event, a line each.
const audit = createWriteStream(process.argv[2] ?? 'audit.jsonl', { flags: 'a', mode: 0o600 });
audit.on('error', (error) => console.error('The audit log cannot be written:', error.message));

const sessions = createEventSessions({ source: '/shop/orders', instanceId: 'shop-1' });
sessions.on('*', (event) => audit.write(`${JSON.stringify(event)}\n`));

await sessions.transaction((session) => session.add('order.placed', { orderId: 'o-1', card: '4111…' }));

const session = await sessions.startSession();
await session.add('order.placed', { orderId: 'o-2', card: '4111…' });
await session.rollback({ reason: 'the customer left' });

// The session itself keeps its transitions too, for as long as it is retained.
console.log((await session.status()).history);

await sessions.close();
audit.end();
await once(audit, 'close');

import { createEventSessions } from 'event-sessions';

// No options: sessions, broker and contingency log in memory. Nothing to install, nothing to start.
await using sessions = createEventSessions({ source: '/shop/orders' });

const { id } = await sessions.startSession({ metadata: { user: 'u-1' } });

// Any later request, in any instance, goes on by the id.
await sessions.session(id).add('order.placed', { orderId: 'o-1', total: 42 });
await sessions.session(id).add('payment.received', { orderId: 'o-1', amount: 42 });

// Nothing has been published so far. Now all of it is, in order; rollback() would have published none.
const receipt = await sessions.session(id).commit();

console.log(receipt);

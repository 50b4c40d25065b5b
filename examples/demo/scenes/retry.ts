import { answer, call, note, type PlayScene } from '../scene.js';

/** A client that heard no answer asks again. The event id makes that harmless. */
export const retry: PlayScene = async ({ sessions, orderId }) => {
  const session = sessions.session(orderId);
  const again = await session.add('order.paid', { orderId: 'o-1', method: 'card' }, { id: 'o-1-paid' });
  const { events } = await session.status();
  return {
    step: 'retry',
    title: 'The client asks twice',
    lines: [
      call("session(id).add('order.paid', …, { id: 'o-1-paid' })"),
      answer(`duplicate: ${again.duplicate}`),
      note(`The same event id is one event: there are still ${events}.`),
    ],
    facts: { eventId: again.eventId, duplicate: again.duplicate, events },
  };
};

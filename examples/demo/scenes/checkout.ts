import { answer, call, note, type PlayScene, plural, short } from '../scene.js';

/** Three requests add to one session. They share nothing but its id. */
export const checkout: PlayScene = async (stage) => {
  const { sessions, broker } = stage;

  const { id } = await sessions.startSession({ metadata: { user: 'u-1' } });
  stage.orderId = id;

  const placed = await sessions.session(id).add('order.placed', { orderId: 'o-1', total: 42 });
  const many = await sessions.session(id).addMany([
    { type: 'order.paid', data: { orderId: 'o-1', method: 'card' }, id: 'o-1-paid' },
    { type: 'mail.requested', data: { to: 'u-1', template: 'thank-you' } },
  ]);

  const { status, events, metadata } = await sessions.session(id).status();
  const received = await broker.received(0);
  return {
    step: 'checkout',
    title: 'Three requests, one session',
    lines: [
      call("startSession({ metadata: { user: 'u-1' } })"),
      answer(`session ${short(id)} is open`),
      call("session(id).add('order.placed', { orderId: 'o-1', total: 42 })"),
      answer(`kept as event ${short(placed.eventId)}`),
      call('session(id).addMany([order.paid, mail.requested])'),
      answer(`kept as events ${many.events.map(({ eventId }) => short(eventId)).join(' and ')}`),
      note(`The session has ${plural(events, 'event')}, the broker ${plural(received.length, 'message')}.`),
    ],
    facts: { sessionId: id, status, events, metadata, received: received.length },
  };
};

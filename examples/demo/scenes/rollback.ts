import { answer, call, note, type PlayScene, plural } from '../scene.js';

export const rollback: PlayScene = async ({ sessions, broker }) => {
  const before = (await broker.received(0)).length;
  const session = await sessions.startSession({ metadata: { user: 'u-2' } });
  await session.add('order.placed', { orderId: 'o-2', total: 19 });
  await session.add('mail.requested', { to: 'u-2', template: 'thank-you' });
  const receipt = await session.rollback({ reason: 'card declined' });
  const { history } = await session.status();
  const published = (await broker.received(0)).length - before;
  return {
    step: 'rollback',
    title: 'Rollback: none of it, ever',
    lines: [
      call("session.rollback({ reason: 'card declined' })"),
      answer(`${receipt.status}: ${plural(receipt.discarded, 'event')} discarded, ${published} published`),
      note(`Its history: ${history.map(({ status }) => status).join(' → ')} (${history.at(-1)?.reason}).`),
    ],
    facts: { receipt, published, history: history.map(({ status, reason }) => ({ status, reason })) },
  };
};

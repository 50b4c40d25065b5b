import type { DomainEvent } from 'event-sessions';
import { answer, call, note, type PlayScene, plural } from '../scene.js';

/** The broker goes down at the worst moment. The commit still succeeds, and says what is owed. */
export const outage: PlayScene = async ({ sessions, broker }) => {
  const before = (await broker.received(0)).length;
  const told: DomainEvent<'contingency.recorded'>[] = [];
  const listen = (event: DomainEvent<'contingency.recorded'>) => told.push(event);
  sessions.on('contingency.recorded', listen);

  const session = await sessions.startSession({ metadata: { user: 'u-4' } });
  await session.add('order.placed', { orderId: 'o-4', total: 7 });
  await session.add('order.paid', { orderId: 'o-4', method: 'invoice' });

  broker.down = true;
  const receipt = await session.commit();
  const backlog = (await sessions.health()).backlog?.records ?? 0;

  broker.down = false;
  const report = await sessions.recover();
  const arrived = (await broker.received(before + receipt.events)).length - before;

  sessions.off('contingency.recorded', listen);
  const cause = told[0]?.code ?? 'unknown';
  return {
    step: 'outage',
    title: 'The broker is down, and nothing is lost',
    lines: [
      call('session.commit()   // the broker takes nothing'),
      answer(`${receipt.status}: ${receipt.published} published, ${receipt.deferred} deferred (${cause})`),
      note(`The contingency log holds ${plural(backlog, 'record')}. The caller goes on.`),
      call('recover()   // the broker is back; it also runs by itself, every 30 s'),
      answer(`${plural(report.published, 'event')} published, ${report.remaining} remaining`),
    ],
    facts: { receipt, cause, backlog, recovery: report, arrived },
  };
};

import { createEventSessions, type EventSessions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';

const NOWHERE = { redis: 'redis://127.0.0.1:1', nsqd: '127.0.0.1:1' };

export interface Outages {
  /** Reaches the store, but no broker. */
  readonly withoutBroker: EventSessions;
  /** Reaches no store. */
  readonly withoutStore: EventSessions;
}

/** Lets two instances that meet outages work, so that they leave a real backlog in the log at `file`. */
export async function duringOutages(
  { file, redis, prefix }: { file: string; redis: string; prefix: string },
  work: (outages: Outages) => Promise<void>,
): Promise<void> {
  const instance = (url: string) =>
    createEventSessions({
      store: redisStore({ url, prefix }),
      publisher: nsqPublisher({ nsqd: NOWHERE.nsqd }),
      contingency: fileContingency({ path: file }),
      recovery: false,
      logger: false,
      commit: { retries: 0 },
    });
  const outages = { withoutBroker: instance(redis), withoutStore: instance(NOWHERE.redis) };
  try {
    await work(outages);
  } finally {
    await Promise.all(Object.values(outages).map((sessions) => sessions.close()));
  }
}

/** One of each kind: what recovery has to do with it is in the names. Its events have the topic `topic`. */
export async function recordOneOfEach(
  { withoutBroker, withoutStore }: Outages,
  topic: string,
  prefix = '',
): Promise<void> {
  const add = (sessions: EventSessions, id: string, name: string) =>
    sessions.session(id).add('order.placed', { name }, { id: name, topic });
  const id = (name: string) => `${prefix}${name}`;

  await withoutBroker.startSession({ sessionId: id('owed') });
  for (const n of [1, 2, 3]) await add(withoutBroker, id('owed'), id(`owed-${n}`));
  await withoutBroker.session(id('owed')).commit();

  await withoutBroker.startSession({ sessionId: id('late') });
  await withoutBroker.startSession({ sessionId: id('rolled-back') });
  await add(withoutStore, id('late'), id('late-1'));
  await withoutBroker.session(id('late')).commit();
  await add(withoutStore, id('rolled-back'), id('rolled-back-1'));
  await withoutStore.session(id('rolled-back')).rollback({ reason: 'changed my mind' });

  const fresh = await withoutStore.startSession({ sessionId: id('fresh'), metadata: { user: 'u-1' } });
  for (const n of [1, 2]) await add(withoutStore, fresh.id, id(`fresh-${n}`));
  await fresh.commit();

  const open = await withoutStore.startSession({ sessionId: id('open') });
  await add(withoutStore, open.id, id('open-1'));
}

/** Sessions that were started, filled and committed while the store was away. */
export async function recordCommits(
  { withoutStore }: Outages,
  { count, events, topic, prefix }: { count: number; events: number; topic: string; prefix: string },
): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const session = await withoutStore.startSession({ sessionId: `${prefix}${n}` });
    const all = Array.from({ length: events }, (_, k) => ({
      type: 'order.placed',
      data: { k },
      id: `${session.id}-${k}`,
      topic,
    }));
    await session.addMany(all);
    await session.commit();
  }
}

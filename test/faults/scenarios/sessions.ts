import type { Scenario } from './stage.js';

/** Everything is there. */
export const sessionScenarios: readonly Scenario[] = [
  {
    name: 'committed',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.add(session, 'a1');
      await client.addMany(session, 'b2', 'a3', 'a4', 'b5');
      await client.commit(session);
    },
  },
  {
    // Ids that end in a hyphen and a number go another way through the store.
    name: 'ids with numbers',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.add(session, 'a-1');
      await client.addMany(session, 'a-2', 'a-3');
      client.redis.down = true;
      await client.add(session, 'a-4');
      client.redis.down = false;
      await client.add(session, 'a-5');
      await client.commit(session);
    },
  },
  {
    name: 'rolled back',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.addMany(session, 'a1', 'b2');
      await client.rollback(session);
    },
  },
  {
    name: 'asked about',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      client.redis.down = true;
      await client.add(session, 'a1');
      client.redis.down = false;
      await client.ask('health', (sessions) => sessions.health());
      await client.ask('metrics', (sessions) => sessions.metrics());
      await client.ask('list', (sessions) => sessions.queries.listSessions());
      await client.ask('status', (sessions) => sessions.session(session).status());
      await client.ask('events', (sessions) => sessions.session(session).events());
      await client.ask('extend', (sessions) =>
        sessions.commands.extendSession({ sessionId: session, ttl: 60_000 }),
      );
      await client.commit(session);
    },
  },
  {
    name: 'scripts flushed',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      client.redis.flushed = true;
      await client.start(session);
      await client.add(session, 'a1');
      await client.commit(session);
    },
  },
  {
    name: 'closed in the middle',
    async play({ line, actor, sessionId }) {
      const [client, session, other] = [actor(), sessionId('s'), sessionId('t')];
      await client.start(session);
      await client.addMany(session, 'a1', 'a2', 'b3', 'a4', 'a5', 'b6');
      await client.start(other);
      let ends: Promise<unknown> = Promise.resolve();
      line.before('nsqd.publish', () => {
        ends = Promise.all([client.add(other, 'a1'), client.close()]);
      });
      await client.commit(session);
      await ends;
    },
  },
  {
    name: 'lease renewed',
    async play({ line, actor, sessionId, tickOnce }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.addMany(session, 'a1', 'a2', 'a3');
      tickOnce();
      line.before('nsqd.publish', () => line.arrival('redis.ADVANCE(renewal)'));
      await client.commit(session);
    },
  },
  {
    name: 'taken over by a commit',
    async play({ actor, sessionId, setting, abandonedCommit }) {
      const [client, session] = [actor(), sessionId('s')];
      await setting(() => abandonedCommit(session, 3));
      await client.commit(session);
    },
  },
];

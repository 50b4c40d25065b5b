import type { Scenario } from './stage.js';

/** The store or the broker is away for a while. */
export const outageScenarios: readonly Scenario[] = [
  {
    name: 'store down for adds',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      client.redis.down = true;
      await client.add(session, 'a1');
      await client.addMany(session, 'b2', 'a3');
      client.redis.down = false;
      await client.add(session, 'a4');
      await client.commit(session);
    },
  },
  {
    name: 'store down throughout',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      client.redis.down = true;
      await client.start(session);
      await client.addMany(session, 'a1', 'b2');
      await client.commit(session);
      client.redis.down = false;
      await client.recover();
    },
  },
  {
    name: 'store lost in the middle of a commit',
    async play({ line, actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.addMany(session, 'a1', 'a2', 'a3', 'a4', 'a5');
      line.before('nsqd.publish', () => {
        client.redis.down = true;
      });
      await client.commit(session);
      client.redis.down = false;
      await client.recover();
    },
  },
  {
    name: 'store down for a rollback',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.add(session, 'a1');
      client.redis.down = true;
      await client.add(session, 'a2');
      await client.rollback(session);
      client.redis.down = false;
      await client.recover();
    },
  },
  {
    name: 'rollback healed by its repetition',
    async play({ actor, sessionId }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      client.redis.down = true;
      await client.add(session, 'a1');
      await client.rollback(session);
      client.redis.down = false;
      await client.rollback(session);
    },
  },
  {
    name: 'broker down for a commit',
    async play({ actor, sessionId, broker }) {
      const [client, session] = [actor(), sessionId('s')];
      await client.start(session);
      await client.addMany(session, 'a1', 'b2', 'a3');
      broker.down = true;
      await client.commit(session);
      broker.down = false;
      await client.recover();
    },
  },
];

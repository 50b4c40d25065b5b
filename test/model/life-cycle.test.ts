import {
  createEventSessions,
  type EventSessions,
  type MemoryPublisher,
  memoryPublisher,
  memoryStore,
  type PublishBatch,
  type SessionStore,
} from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.js';
import { seedFrom } from '../support/random.js';
import { describeWith } from '../support/services.js';
import { compare, type Model, nothingSeen, type Real, sessionCommands } from './session-model.js';

const SEED = seedFrom('MODEL_SEED');

const COMMIT = { batchEvents: 2, inFlight: 2, leaseMs: 3_600_000 };

/** Three instances on one store and one broker. */
function realSessions(store: SessionStore): Real & { end(): Promise<unknown> } {
  const publisher = memoryPublisher();
  const opened: EventSessions[] = [];
  const make = (way = { store, publisher }) => {
    // An instance that ends must not take the shared adapters with it.
    const close = async () => {};
    const sessions = createEventSessions({
      store: { ...way.store, close },
      publisher: { ...way.publisher, close },
      recovery: false,
      logger: false,
      commit: COMMIT,
    });
    opened.push(sessions);
    return sessions;
  };
  const instances = [make(), make(), make()];
  return {
    instances,
    window: COMMIT.batchEvents * COMMIT.inFlight,
    crash: (index) => {
      instances[index] = make();
    },
    async commitAndDie(sessionId, batches) {
      const dying = dyingPublisher(publisher, batches);
      const calls = countedCalls(store);
      const commit = make({ store: calls.store, publisher: dying.publisher }).session(sessionId).commit();
      const finished = await Promise.race([commit.then(() => true), dying.deaf.then(() => false)]);
      if (finished) return false;
      await dying.settled();
      await calls.settled();
      const { epoch } = (await store.get(sessionId)) ?? { epoch: 0 };
      await store.releaseCommit(sessionId, epoch);
      return true;
    },
    published: (sessionId) =>
      publisher.published
        .filter(({ event }) => event.sessionid === sessionId)
        .map(({ event }) => `${event.id} ${event.data}`),
    /** Those that have died do nothing more by themselves, either. */
    end: () => Promise.all(opened.map((sessions) => sessions.close({ timeoutMs: 1 }))),
  };
}

/** The publisher of an instance that goes deaf after some batches: what it sends arrives, but no answer reaches it. */
function dyingPublisher(publisher: MemoryPublisher, batches: number) {
  const never = new Promise<never>(() => {});
  const sent: Promise<void>[] = [];
  let acknowledged = 0;
  let goDeaf = () => {};
  let dead = false;
  const deaf = new Promise<void>((resolve) => {
    goDeaf = resolve;
  });
  const dying = {
    ...publisher,
    async publish(batch: PublishBatch) {
      if (dead) return never;
      const arrived = publisher.publish(batch);
      sent.push(arrived);
      await arrived;
      acknowledged += 1;
      if (acknowledged <= batches) return;
      goDeaf();
      await never;
    },
  };
  // The rest of its window goes out before it dies.
  const settled = async () => {
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    dead = true;
    await Promise.all(sent);
  };
  const died = deaf.then(settled);
  return { publisher: dying, deaf, settled: () => died };
}

/**
 * What a dead instance has sent must have arrived before its lease can be said to have run out. What it has not, such
 * as the cursor that it would move when a page has come, it never sends.
 */
function countedCalls(store: SessionStore) {
  const pending = new Set<Promise<unknown>>();
  let dead = false;
  const advance: SessionStore['advance'] = (...args) => {
    if (dead) return new Promise(() => {});
    const call = store.advance(...args);
    pending.add(call);
    return call;
  };
  const settled = () => {
    dead = true;
    return Promise.all(pending);
  };
  return { store: { ...store, advance }, settled };
}

async function check(numRuns: number, store: () => SessionStore): Promise<void> {
  const seen = nothingSeen();
  const property = fc.asyncProperty(sessionCommands(), async (commands) => {
    const model: Model = { sessions: new Map(), added: 0, seen };
    const real = realSessions(store());
    try {
      await fc.asyncModelRun(() => ({ model, real }), commands);
      await compare(model, real);
    } finally {
      await real.end();
    }
  });
  console.log(`life cycle against its model: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  await fc.assert(property, { numRuns, seed: SEED });
  console.log(`seen: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
}

test('random commands on memory behave as the model says', async () => {
  await check(1_000, () => memoryStore());
});

describeWith('redis', ({ url }) => {
  const clients: Redis[] = [];
  afterAll(() => {
    for (const client of clients) client.disconnect();
  });

  test('random commands on Redis behave as the model says', async () => {
    const client = new Redis(url);
    clients.push(client);
    await check(150, () => redisStore({ client, prefix: `model-${newId()}` }));
  });
});

import {
  createEventSessions,
  EventSessionsError,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type PublishBatch,
} from 'event-sessions';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { faultyStore, type StoreFault } from '../support/faulty-store.js';
import { seedFrom } from '../support/random.js';

const SEED = seedFrom('MODEL_SEED');
const IDS = ['s-1', 's-2'];
const LEASE_MS = 60_000;

type BrokerFault = 'up' | 'not_done' | 'unknown' | 'refused';

const sessionId = fc.constantFrom(...IDS);
const eventIds = fc.uniqueArray(fc.nat({ max: 11 }), { minLength: 1, maxLength: 6, size: 'max' });
const command = fc.oneof(
  fc.record({ name: fc.constantFrom('start' as const, 'rollback' as const), id: sessionId }),
  { weight: 3, arbitrary: fc.record({ name: fc.constant('add' as const), id: sessionId, eventIds }) },
  { weight: 3, arbitrary: fc.record({ name: fc.constant('commit' as const), id: sessionId }) },
  { weight: 3, arbitrary: fc.record({ name: fc.constant('recover' as const) }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

/** What becomes of the next calls; those behind them go well. What was done unheard is counted by whoever hears of it. */
const storeFaults = fc.array(fc.constantFrom<StoreFault[]>('up', 'up', 'up', 'down', 'cut before'), {
  maxLength: 6,
});
const brokerFaults = fc.array(fc.constantFrom<BrokerFault[]>('up', 'up', 'not_done', 'unknown', 'refused'), {
  maxLength: 4,
});
const none = fc.constant<never[]>([]);
const stepsWith = (
  store: fc.Arbitrary<StoreFault[]>,
  broker: fc.Arbitrary<BrokerFault[]>,
  logFails: fc.Arbitrary<boolean[]>,
) =>
  fc.array(fc.record({ command, faults: fc.record({ store, broker, logFails }) }), {
    minLength: 3,
    maxLength: 10,
    size: 'max',
  });
const steps = fc.oneof(
  stepsWith(none, brokerFaults, none),
  stepsWith(storeFaults, brokerFaults, fc.array(fc.boolean(), { maxLength: 2 })),
);

function services() {
  const clock = { now: Date.now() };
  const base = memoryStore({ now: () => clock.now });
  const store = faultyStore(base);
  const memory = memoryPublisher();
  const log = memoryContingency();
  const next = { store: [] as StoreFault[], broker: [] as BrokerFault[], logFails: [] as boolean[] };
  let acknowledged = 0;
  store.decide = () => next.store.shift() ?? 'up';
  const publisher = {
    ...memory,
    async publish(batch: PublishBatch) {
      const outcome = next.broker.shift() ?? 'up';
      if (outcome !== 'up') throw new EventSessionsError('PUBLISH_FAILED', 'the broker fails', { outcome });
      await memory.publish(batch);
      acknowledged += batch.events.length;
    },
  };
  const contingency: typeof log = {
    ...log,
    async append(records) {
      if (next.logFails.shift()) throw new EventSessionsError('CONTINGENCY_FAILED', 'the log fails');
      await log.append(records);
    },
  };
  const sessions = createEventSessions({
    store,
    publisher,
    contingency,
    recovery: false,
    logger: false,
    commit: { retries: 0, batchEvents: 2, inFlight: 2, leaseMs: LEASE_MS },
  });
  return { sessions, next, clock, log, get: base.get, acknowledged: () => acknowledged };
}

test('a snapshot counts what has happened, whatever fails', async () => {
  console.log(`metrics: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  const property = fc.asyncProperty(steps, async (all) => {
    const { sessions, next, clock, log, get, acknowledged } = services();
    const told = { started: 0, added: 0, committed: 0, published: 0, deferred: 0, recovered: 0 };
    let inPasses = 0;
    sessions.on('session.committed', ({ published, deferred }) => {
      told.committed += 1;
      told.published += published;
      told.deferred += deferred;
    });

    async function call(one: Command): Promise<void> {
      if (one.name === 'recover') {
        const before = acknowledged();
        told.recovered += (await sessions.recover()).published;
        inPasses += acknowledged() - before;
      } else if (one.name === 'start') {
        const { created } = await sessions.commands.startSession({ sessionId: one.id });
        told.started += Number(created);
      } else if (one.name === 'add') {
        const added = one.eventIds.map((n) => ({ type: n % 3 === 0 ? 'b' : 'a', data: n, id: `e-${n}` }));
        const { events } = await sessions.session(one.id).addMany(added);
        told.added += events.filter(({ duplicate }) => !duplicate).length;
      } else await sessions.session(one.id)[one.name]();
    }

    for (const id of IDS) {
      await call({ name: 'start', id });
      await call({ name: 'add', id, eventIds: [0, 1, 2, 3, 4] });
    }
    for (const one of all) {
      Object.assign(next, structuredClone(one.faults));
      await call(one.command).catch(() => {});
    }
    Object.assign(next, { store: [], broker: [], logFails: [] });
    for (let pass = 0; pass < 5; pass += 1) {
      clock.now += LEASE_MS + 1;
      await call({ name: 'recover' });
    }

    const stored = (await Promise.all(IDS.map(get))).filter((one) => one !== undefined);
    const committed = stored.filter(({ status }) => status === 'committed');
    const sum = (numbers: number[]) => numbers.reduce((total, n) => total + n, 0);
    const snapshot = await sessions.metrics();
    const { events, sessions: counts, commitDuration, contingency } = snapshot;
    const { published, deferred } = events;
    expect({ ...counts, ...events }).toMatchObject({
      started: told.started,
      added: told.added,
      committed: committed.length,
      active: stored.filter(({ status }) => status === 'open').length,
      published: sum(committed.map((one) => one.cursor - one.deferred)),
      deferred: sum(committed.map((one) => one.deferred)),
      failed: 0,
      perMinute: published + deferred,
    });
    expect(told).toMatchObject({ committed: commitDuration.count, published, deferred });
    expect(contingency?.records).toBe(log.records.length);
    expect(told.recovered).toBeLessThanOrEqual(inPasses);
    const isCalm = all.every(({ faults: { store, logFails } }) => store.length + logFails.length === 0);
    // Otherwise a batch may come twice: its attempt has ended before it was counted.
    if (isCalm) expect([acknowledged(), inPasses]).toEqual([published + events.recovered, told.recovered]);
    else expect(acknowledged()).toBeGreaterThanOrEqual(published + events.recovered);
    await sessions.close();
  });
  await fc.assert(property, { numRuns: 500, seed: SEED });
});

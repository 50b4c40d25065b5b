import { createEventSessions, memoryContingency, memoryPublisher, memoryStore } from 'event-sessions';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { faultyStore, type StoreFault } from '../support/faulty-store.js';
import { seedFrom } from '../support/random.js';

const SEED = seedFrom('MODEL_SEED');
const TTL_MS = 60_000;
/** Until the circuit breaker lets a call through to a store that is back. */
const PROBE_MS = 6_000;

type Call =
  | { readonly name: 'start' | 'rollback' | 'commit' | 'status' | 'recover' }
  | { readonly name: 'add'; readonly ids: readonly string[] };
type Step =
  | {
      readonly on: 'meets outages';
      readonly call: Call;
      readonly store: StoreFault;
      readonly noBroker: boolean;
    }
  | { readonly on: 'works'; readonly call: Call }
  | { readonly passMs: number };

// No `expectedEvents`: whether such a commit counts depends on when it is tried.
const call = fc.oneof(
  fc.record({ name: fc.constantFrom('start' as const, 'rollback', 'commit', 'status', 'recover') }),
  fc.record({
    name: fc.constant('add' as const),
    ids: fc.uniqueArray(fc.constantFrom('e-1', 'e-2', 'e-3', 'e-4'), { minLength: 1, maxLength: 3 }),
  }),
);
const faults: StoreFault[] = ['up', 'down', 'down', 'down', 'cut before', 'cut after'];
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      on: fc.constant('meets outages' as const),
      call,
      store: fc.constantFrom(...faults),
      noBroker: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ on: fc.constant('works' as const), call }) },
  { weight: 1, arbitrary: fc.record({ passMs: fc.constantFrom(1_000, 20_000, 2 * TTL_MS) }) },
);
const steps = fc.tuple(fc.boolean(), fc.array(step, { minLength: 2, maxLength: 12, size: 'max' }));

beforeEach(() => {
  const toFake = [
    'Date',
    'performance',
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
  ] as const;
  vi.useFakeTimers({ toFake: [...toFake] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** One host that meets outages and one that does not, on one session: what has become of everything. */
async function endOf([starts, all]: [boolean, readonly Step[]], broughtBackBy: 'a command' | 'recovery') {
  vi.setSystemTime(1_800_000_000_000);
  const base = memoryStore();
  const store = faultyStore(base);
  const broker = { down: false };
  const publisher = memoryPublisher({
    onPublish: () => {
      if (broker.down) throw new Error('the broker is down');
    },
  });
  const log = memoryContingency();
  const options = { publisher, recovery: false, logger: false, ttl: TTL_MS } as const;
  const commit = { retries: 0, batchEvents: 2 };
  const meetsOutages = createEventSessions({ ...options, commit, store, contingency: log });
  const works = createEventSessions({ ...options, commit, store: base, contingency: false });

  const act = async (sessions: typeof works, one: Call): Promise<unknown> => {
    const session = sessions.session('s-1');
    if (one.name === 'start') return sessions.startSession({ sessionId: 's-1' });
    if (one.name === 'recover') return sessions.recover();
    if (one.name === 'add') return session.addMany(one.ids.map((id) => ({ type: 't', data: id, id })));
    return session[one.name]();
  };
  if (starts) await act(works, { name: 'start' });
  for (const one of all) {
    if ('passMs' in one) {
      await vi.advanceTimersByTimeAsync(one.passMs);
      continue;
    }
    if (one.on === 'meets outages') [store.fault, broker.down] = [one.store, one.noBroker];
    await act(one.on === 'works' ? works : meetsOutages, one.call).catch(() => {});
    broker.down = false;
  }
  store.fault = 'up';
  await vi.advanceTimersByTimeAsync(PROBE_MS);
  if (broughtBackBy === 'a command') await act(meetsOutages, { name: 'status' }).catch(() => {});
  await meetsOutages.recover();
  const waiting = log.records.map(({ kind }) => kind);
  await vi.advanceTimersByTimeAsync(TTL_MS + 1);
  await meetsOutages.recover();

  const { status, events, deferred } = (await base.get('s-1')) ?? {};
  await Promise.all([meetsOutages.close(), works.close()]);
  const end = {
    status,
    deferred,
    published: publisher.published.map(({ event }) => `${event.sequence} ${event.id}`),
    waiting,
    left: log.records,
  };
  // Recovery need not bring in what is rolled back right behind, and judges the records by each other.
  if (status === 'rolled_back') return end;
  const quarantined = log.quarantined.map((entry) => 'record' in entry && entry.record.kind);
  return { ...end, events, quarantined };
}

test('a command brings back what is held in memory as recovery brings it back from the log', async () => {
  console.log(`healing against recovery: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  const property = fc.asyncProperty(steps, async (given) => {
    expect(await endOf(given, 'a command')).toEqual(await endOf(given, 'recovery'));
  });
  await fc.assert(property, { numRuns: 500, seed: SEED });
});

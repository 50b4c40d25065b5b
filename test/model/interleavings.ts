import fc from 'fast-check';
import { expect } from 'vitest';
import { check, RECOVERY_BATCH, type Violation } from '../campaign/checker.js';
import type { Totals } from '../campaign/totals.js';
import { seedFrom } from '../support/random.js';
import { COMMIT, createServices, type Host, type Part, type PartFault, type Services } from './services.js';

const SEED = seedFrom('MODEL_SEED');
/** The first number of the `path` that a failure tells: the run to begin with. */
const PATH = process.env.MODEL_PATH ?? '';
const TTL_MS = 86_400_000;

const CHECKER = { window: COMMIT.batchEvents * COMMIT.inFlight, recoveryBatch: RECOVERY_BATCH };

export interface Circumstances {
  /** Two processes of one host, or two hosts. */
  readonly sharesLog: boolean;
  /** Store, broker and log fail, processes die, leases run out. */
  readonly fails: boolean;
}

/** The model is the history: what came of everything is judged at the end, by the rules of the campaign's checker. */
type Command = fc.AsyncCommand<object, Services>;

function command(name: string, act: (services: Services) => void): Command {
  return {
    check: () => true,
    run: async (_, services) => act(services),
    toString: () => name,
  };
}

const host = fc.constantFrom<Host[]>(0, 1);
const sessionId = fc.constantFrom('s-1', 's-1', 's_2');
const inTurn = fc.boolean();
const tags = fc.uniqueArray(
  fc.nat({ max: 11 }).map((n) => `e-${n}`),
  { minLength: 1, maxLength: 5, size: 'max' },
);
const topicOf = (tag: string) => (Number(tag.slice(2)) % 4 === 0 ? 'b' : 'a');
const onSession = fc.tuple(host, inTurn, sessionId);

const add = fc.tuple(host, inTurn, sessionId, tags).map(([at, turn, id, added]) =>
  command(`add(${id}, ${added})@${at}${turn ? ' in turn' : ''}`, (services) =>
    services.call(at, turn, (commands) =>
      commands.add(
        id,
        added.map((tag) => ({ id: tag, tag, topic: topicOf(tag) })),
      ),
    ),
  ),
);
const start = onSession.map(([at, turn, id]) =>
  command(`start(${id})@${at}`, (services) =>
    services.call(at, turn, (commands) => commands.start({ sessionId: id, ttl: TTL_MS })),
  ),
);
const commit = onSession.map(([at, turn, id]) =>
  command(`commit(${id})@${at}${turn ? ' in turn' : ''}`, (services) =>
    services.call(at, turn, (commands) => commands.commit(id)),
  ),
);
const rollback = onSession.map(([at, turn, id]) =>
  command(`rollback(${id})@${at}${turn ? ' in turn' : ''}`, (services) =>
    services.call(at, turn, (commands) => commands.rollback(id)),
  ),
);
const recover = host.map((at) => command(`recover@${at}`, (services) => services.recover(at)));
const crash = host.map((at) => command(`crash@${at}`, (services) => services.crash(at)));
const endLeases = fc.constant(command('leases end', (services) => services.endLeases()));
/** Behind the deadline of a probe, the renewal of a lease, the end of a lease. */
const pass = fc
  .constantFrom(5_100, 21_000, COMMIT.leaseMs + 1)
  .map((ms) => command(`${ms} ms pass`, (services) => services.pass(ms)));
const fail = fc
  .tuple(
    host,
    fc.constantFrom<Part[]>('store', 'store', 'broker', 'broker', 'log'),
    fc.array(fc.constantFrom<PartFault[]>('down', 'cut before', 'cut after'), {
      minLength: 1,
      maxLength: 8,
      size: 'max',
    }),
  )
  .map(([at, part, faults]) =>
    command(`${part}@${at} is ${faults.join(', ')}`, (services) => services.fail(at, part, faults)),
  );

function commandsIn({ fails }: Circumstances): fc.Arbitrary<Iterable<Command>> {
  const calm = [start, add, add, add, commit, commit, rollback, recover];
  const kinds = fails ? [...calm, fail, fail, fail, crash, endLeases, pass] : calm;
  return fc.commands(kinds, { maxCommands: 20, size: 'max' });
}

export async function checkInterleavings(numRuns: number, circumstances: Circumstances): Promise<void> {
  const seen = {
    committed: 0,
    'rolled back': 0,
    late: 0,
    'published twice': 0,
    'taken over': 0,
    quarantined: 0,
    deaths: 0,
  };
  const count = ({ sessions, events, duplicates, attempts, quarantined, deaths }: Totals) => {
    seen.committed += sessions.committed;
    seen['rolled back'] += sessions.rolledBack;
    seen.late += events.late;
    seen['published twice'] += duplicates;
    seen['taken over'] += attempts.takenOver;
    seen.quarantined += quarantined;
    seen.deaths += deaths;
  };
  const property = fc.asyncProperty(
    fc.scheduler(),
    commandsIn(circumstances),
    async (scheduler, commands) => {
      const services = createServices(scheduler, circumstances.sharesLog);
      services.call(0, false, (own) => own.start({ sessionId: 's-1', ttl: TTL_MS }));
      await fc.scheduledModelRun(scheduler, () => ({ model: {}, real: services }), commands);
      const { history, observations } = await services.heal();
      await services.end();
      const { violations, totals } = check(history, observations, CHECKER);
      count(totals);
      if (violations.length > 0) throw new Error(violations.map(inWords).join('\n'));
    },
  );
  console.log(`interleavings: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  await fc.assert(property, { numRuns, seed: SEED, path: PATH });
  console.log(`seen: ${JSON.stringify(seen)}`);
  const expected = circumstances.fails ? Object.entries(seen) : Object.entries(seen).slice(0, 2);
  for (const [what, times] of expected) expect(times, what).toBeGreaterThan(0);
}

const inWords = ({ guarantee, rule, sessionId: id, message }: Violation) =>
  `${guarantee} ${rule}: ${id === undefined ? '' : `session ${id}: `}${message}`;

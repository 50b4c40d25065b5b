import { readFile } from 'node:fs/promises';
import { createEventSessions, memoryPublisher, memoryStore } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planLog } from '../../src/cli/log-plan.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import { inFolder } from '../adapters/file/support/log-files.js';
import { seedFrom } from '../support/random.js';

const SEED = seedFrom('MODEL_SEED');
const NOW = Date.now();
const PATIENCE_MS = 3_600_000;
const TTL_MS = 1_000;
const LIMITS = { maxSessionEvents: 1_000, maxSessionBytes: 1_000_000 };
const cause = { instance: 'host', reason: 'test' };

const STATES = ['unknown', 'open', 'overdue', 'expired', 'rolled_back', 'committing', 'committed'] as const;

interface Case {
  readonly state: (typeof STATES)[number];
  readonly inStore: readonly string[];
  readonly records: readonly ContingencyRecord[];
}

const eventOf = (id: string) =>
  `{"specversion":"1.0","id":"${id}","source":"/x","type":"x","datacontenttype":"application/json","data":{}}`;
const eventId = fc.constantFrom('a', 'b', 'c', 'd');

/** Too old to wait, in time, and (for a session that has run out meanwhile) too late. */
const at = fc.constantFrom(NOW - 2 * PATIENCE_MS, NOW, NOW + 2 * TTL_MS);
const record = fc.oneof(
  fc.record({
    kind: fc.constant('session.started' as const),
    at,
    metadata: fc.constant('{}'),
    ttlMs: fc.constant(TTL_MS),
  }),
  eventId.chain((id) =>
    fc.record({
      kind: fc.constant('event.added' as const),
      at,
      topic: fc.constant('x'),
      event: fc.constant(eventOf(id)),
    }),
  ),
  fc.record({
    kind: fc.constant('session.commit_requested' as const),
    at,
    attemptId: fc.constant('given-up'),
    expectedEvents: fc.option(fc.nat({ max: 4 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('session.rollback_requested' as const), at }),
  fc.nat({ max: 2 }).chain((n) =>
    fc.record({
      kind: fc.constant('event.unpublished' as const),
      at,
      topic: fc.constant('x'),
      sequence: fc.constant(n + 1),
      event: fc.constant(eventOf(`owed-${n}`)),
    }),
  ),
);
const someCase: fc.Arbitrary<Case> = fc.record({
  state: fc.constantFrom(...STATES),
  inStore: fc.uniqueArray(eventId, { maxLength: 3 }),
  // In the order of their times, as those of one host are.
  records: fc
    .array(
      record.map((one): ContingencyRecord => ({ ...one, sessionId: 's-1' })),
      { minLength: 1, maxLength: 7 },
    )
    .map((records) => records.sort((a, b) => a.at - b.at)),
});

async function prepare(store: SessionStore, clock: { now: number }, { state, inStore }: Case): Promise<void> {
  if (state === 'unknown') return;
  await store.start({ sessionId: 's-1', metadata: '{}', ttlMs: TTL_MS, cause });
  await store.append(
    's-1',
    inStore.map((id) => ({ id, topic: 'x', json: eventOf(id) })),
    LIMITS,
  );
  if (state === 'rolled_back') await store.rollback('s-1', { retentionMs: 1_000_000, cause });
  if (state === 'committing' || state === 'committed') {
    const begun = await store.beginCommit('s-1', { attemptId: 'in-store', leaseMs: 1, cause });
    if (begun.outcome !== 'granted') throw new Error(begun.outcome);
    const { epoch } = begun;
    const receipt = { sessionId: 's-1', status: 'committed', events: inStore.length } as never;
    const finish = { epoch, cursor: inStore.length, deferred: 0, receipt, retentionMs: 1_000_000, cause };
    if (state === 'committed') await store.finishCommit('s-1', finish);
  }
  clock.now += 10;
  if (state === 'overdue' || state === 'expired') clock.now += 5 * TTL_MS;
  if (state === 'expired') await store.expire('s-1', { graceMs: 0, retentionMs: 1_000_000, cause });
}

test('a dry run foretells what a recovery does with a session', async () => {
  console.log(`dry run against recovery: seed ${SEED} (MODEL_SEED=${SEED} repeats it)`);
  const property = fc.asyncProperty(someCase, (one) =>
    inFolder(async (_, path) => {
      const clock = { now: NOW };
      const store = memoryStore({ now: () => clock.now });
      const publisher = memoryPublisher();
      const contingency = fileContingency({ path, fsync: 'never' });
      await prepare(store, clock, one);
      for (const written of one.records) await contingency.append([written]);

      const plan = (await planLog(path, store, PATIENCE_MS, new AbortController().signal)).sessions[0];
      const sessions = createEventSessions({
        store,
        publisher,
        contingency,
        ttl: PATIENCE_MS,
        recovery: false,
        logger: false,
      });
      const report = await sessions.recover();
      await sessions.close();

      const reasons = await readFile(`${path}.quarantine.jsonl`, 'utf8').catch(() => '');
      const quarantine: Record<string, number> = {};
      for (const [, reason = ''] of reasons.matchAll(/"reason":"([^"]+)"/g))
        quarantine[reason] = (quarantine[reason] ?? 0) + 1;
      expect({
        brought: plan && plan.restore + plan.known,
        published: plan?.publish,
        discarded: plan?.discard,
        waiting: plan?.wait,
        quarantine: Object.fromEntries(
          plan?.quarantine.map(({ reason, records }) => [reason, records]) ?? [],
        ),
      }).toEqual({
        brought: report.events,
        published: publisher.published.length,
        discarded: report.discarded,
        waiting: report.remaining,
        quarantine,
      });
    }),
  );
  await fc.assert(property, { numRuns: 200, seed: SEED });
});

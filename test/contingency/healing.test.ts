import { memoryContingency, memoryStore } from 'event-sessions';
import { expect, test } from 'vitest';
import { createHealing } from '../../src/contingency/healing.js';
import { createHeldRecords } from '../../src/contingency/held-records.js';
import { knownEnds } from '../../src/contingency/known-ends.js';
import { createStoreCall } from '../../src/contingency/store-call.js';
import { added } from '../adapters/file/support/log-files.js';
import { breakerAfter } from '../support/breaker.js';
import { faultyStore } from '../support/faulty-store.js';

const RETENTION_MS = 60_000;

/** A session of which the log has more than fits in memory: only its first event is held. */
async function spilled(recover: () => Promise<unknown>) {
  const store = faultyStore(memoryStore());
  await store.start({ sessionId: 's-1', metadata: '{}', ttlMs: 60_000, cause: { instance: 'a' } });
  const held = createHeldRecords(1_000);
  held.settle(held.mark(), new Map());
  held.hold([added('e-1'), added('e-2', { text: 'x'.repeat(1_000) })]);
  const heal = createHealing({
    log: memoryContingency(),
    held,
    ends: knownEnds(RETENTION_MS),
    callStore: createStoreCall(store, breakerAfter(5)),
    recover,
    replay: { instance: 'a', retentionMs: RETENTION_MS },
  });
  return { store, held, heal };
}

test('G4: nothing goes to the store past what only the log has of the session, until recovery has brought it back', async () => {
  let passes = 0;
  let isBack = false;
  const { store, held, heal } = await spilled(async () => {
    passes += 1;
    if (isBack) held.settle(held.mark(), new Map());
  });
  await expect(heal('s-1')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', outcome: 'not_done' });
  expect(passes).toBe(1);
  expect(await store.contains('s-1', ['e-1', 'e-2'])).toEqual([true, false]);
  isBack = true;
  expect(await heal('s-1')).toBe('done');
  expect(passes).toBe(2);
  expect(heal('s-1')).toBeUndefined();
});

test('the log is not read for a store that is away', async () => {
  let passes = 0;
  const { store, heal } = await spilled(async () => {
    passes += 1;
  });
  await expect(heal('s-1')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  store.fault = 'down';
  await expect(heal('s-1')).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: 'the store is down',
  });
  expect(passes).toBe(1);
});

test('calls at once wait for the same healing', async () => {
  let passes = 0;
  const { held, heal } = await spilled(async () => {
    passes += 1;
    held.settle(held.mark(), new Map());
  });
  expect(await Promise.all([heal('s-1'), heal('s-1'), heal('s-1')])).toEqual(['done', 'done', 'done']);
  expect(passes).toBe(1);
});

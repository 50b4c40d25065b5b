import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventSessionsError, memoryContingency, memoryPublisher, memoryStore } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ContingencyLog, SealedRecords } from '../../src/ports/contingency-log.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import { faultyStore } from '../support/faulty-store.js';
import { openSessions } from '../support/open-sessions.js';

const QUIET = { recovery: false, logger: false } as const;

/** A process that has acknowledged a rollback during an outage, and is gone. */
async function rolledBackInAnOutage(
  real: SessionStore,
  contingency: ContingencyLog,
  before = async () => {},
) {
  const store = faultyStore(real);
  const first = openSessions({ ...QUIET, store, contingency });
  const session = await first.startSession({ sessionId: 's-1' });
  await session.add('a', 1);
  store.fault = 'down';
  expect(await session.rollback()).toMatchObject({ status: 'rolled_back', deferred: true });
  await before();
  await first.recover();
  await first.close();
}

/** The log stays open for the next process. */
const shared = (log: ContingencyLog): ContingencyLog => ({ ...log, close: async () => {} });

describe('G2: what an earlier process has acknowledged is in front of the first commands', () => {
  test('also when the log cannot be read', async () => {
    const [store, log, publisher] = [memoryStore(), memoryContingency(), memoryPublisher()];
    await rolledBackInAnOutage(store, shared(log));
    const seal = async () => {
      throw new EventSessionsError('CONTINGENCY_FAILED', 'EROFS');
    };
    const sessions = openSessions({ ...QUIET, store, publisher, contingency: { ...log, seal } });
    expect(await sessions.session('s-1').commit()).toMatchObject({ status: 'committing', published: 0 });
    expect(publisher.published).toEqual([]);
    expect((await store.get('s-1'))?.status).toBe('open');
  });

  test('also when another process is at work on the log', async () => {
    const [store, log, publisher] = [memoryStore(), memoryContingency(), memoryPublisher()];
    await rolledBackInAnOutage(store, shared(log));
    const sealed = (await log.seal()) as SealedRecords;
    const sessions = openSessions({ ...QUIET, store, publisher, contingency: log });
    expect(await sessions.session('s-1').commit()).toMatchObject({ status: 'committing', published: 0 });
    expect(publisher.published).toEqual([]);
    await sealed.release();
    await sessions.recover();
    expect(publisher.published).toEqual([]);
    expect((await store.get('s-1'))?.status).toBe('rolled_back');
  });

  test('also when the instance is closed meanwhile', async () => {
    const [store, log] = [memoryStore(), memoryContingency()];
    await rolledBackInAnOutage(store, shared(log));
    const sessions = openSessions({ ...QUIET, store, contingency: log });
    const commit = sessions.session('s-1').commit();
    await Promise.allSettled([commit, sessions.close()]);
    expect((await store.get('s-1'))?.status).not.toBe('committing');
  });

  describe('in a file', () => {
    let folder = '';
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'inherited-log-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    test('also when a writer was killed in the middle of a line, which is in quarantine', async () => {
      const path = join(folder, 'log.jsonl');
      const [store, publisher] = [memoryStore(), memoryPublisher()];
      await rolledBackInAnOutage(store, fileContingency({ path }), () =>
        appendFile(path, '\n{"v":1,"kind":"event.add'),
      );
      const contingency = fileContingency({ path });
      const sessions = openSessions({ ...QUIET, store, publisher, contingency });
      await expect(sessions.session('s-1').commit()).rejects.toMatchObject({
        code: 'SESSION_NOT_OPEN',
        status: 'rolled_back',
      });
      expect(publisher.published).toEqual([]);
      await sessions.close();
    });
  });
});

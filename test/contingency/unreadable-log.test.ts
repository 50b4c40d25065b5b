import {
  type ContingencyLog,
  EventSessionsError,
  memoryContingency,
  memoryPublisher,
  memoryStore,
  type SealedRecords,
} from 'event-sessions';
import { describe, expect, test } from 'vitest';
import { openSessions } from '../support/open-sessions.js';

const quiet = { recovery: false, logger: false } as const;
const broken = () => new EventSessionsError('CONTINGENCY_FAILED', 'the disk is broken');

/** A log whose sealed part has only this in it. */
function logOf(part: Partial<SealedRecords>): ContingencyLog {
  const nothing: SealedRecords = {
    async *read() {},
    fetch: async () => [],
    settle: async () => {},
    quarantine: async () => {},
    release: async () => {},
  };
  return { ...memoryContingency(), seal: async () => ({ ...nothing, ...part }) };
}

const brokenLogs: [string, ContingencyLog][] = [
  ['sealed', { ...memoryContingency(), seal: () => Promise.reject(broken()) }],
  [
    'read',
    logOf({
      // biome-ignore lint/correctness/useYield: it fails before
      async *read() {
        throw broken();
      },
    }),
  ],
];

describe.each(brokenLogs)('a log that cannot be %s', (_, contingency) => {
  test('keeps no interrupted commit from being finished', async () => {
    const store = memoryStore();
    const publisher = memoryPublisher();
    const sessions = openSessions({ ...quiet, store, publisher, contingency });
    await openSessions({ ...quiet, store }).startSession({ sessionId: 's-1' });
    await openSessions({ ...quiet, store })
      .session('s-1')
      .add('a', 1);
    await store.beginCommit('s-1', { attemptId: 'x', leaseMs: 1_000, cause: { instance: 'dead' } });
    await store.releaseCommit('s-1', 1);
    await expect(sessions.recover()).rejects.toMatchObject({ message: 'the disk is broken' });
    expect(publisher.published).toHaveLength(1);
    expect(await store.get('s-1')).toMatchObject({ status: 'committed' });
  });

  test('G1: lets no session expire of which it may have more', async () => {
    const now = { ms: 1_000_000 };
    const store = memoryStore({ now: () => now.ms });
    const ended: string[] = [];
    const watched: typeof store = {
      ...store,
      expire: (sessionId, request) => {
        ended.push(sessionId);
        return store.expire(sessionId, request);
      },
    };
    const sessions = openSessions({ ...quiet, store: watched, contingency });
    await openSessions({ ...quiet, store }).startSession({ sessionId: 's-1', ttl: 60_000 });
    for (let pass = 0; pass < 3; pass += 1) {
      now.ms += 600_000;
      await expect(sessions.recover()).rejects.toMatchObject({ message: 'the disk is broken' });
    }
    expect(await store.due(10)).toEqual(['s-1']);
    expect(ended).toEqual([]);
  });
});

describe('a log full of lines that cannot be read', () => {
  /** Ten at a time. `read` tells how many have been read. */
  function unreadable(lines: number, text: string, take: (entries: number, read: number) => void) {
    let read = 0;
    return logOf({
      async *read() {
        while (read < lines) {
          const places = Array.from({ length: 10 }, (_, i) => read + i);
          read += 10;
          yield places.map((place) => ({ place, unreadable: text, reason: 'not JSON' }));
        }
      },
      quarantine: async (entries) => take(entries.length, read),
    });
  }

  test.each([
    ['short', 1_000, 'x', [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]],
    ['long', 40, 'x'.repeat(1_000_000), [10, 10, 20, 20, 30, 30, 40, 40]],
    ['few', 20, 'x', [20]],
  ])('G7: is quarantined while it is read: %s ones', async (_, lines, text, readAt) => {
    const taken: number[] = [];
    const seen: number[] = [];
    const contingency = unreadable(lines, text, (entries, read) => {
      taken.push(entries);
      seen.push(read);
    });
    const sessions = openSessions({ ...quiet, contingency });
    expect(await sessions.recover()).toMatchObject({ quarantined: lines, remaining: 0 });
    expect(Math.max(...taken)).toBeLessThanOrEqual(100);
    expect(Math.max(...taken) * text.length).toBeLessThan(6_000_000);
    expect(seen).toEqual(readAt);
  });

  test('G7: stays as it is when the quarantine takes nothing, which is asked once a pass', async () => {
    let asked = 0;
    const contingency = unreadable(1_000, 'x', () => {
      asked += 1;
      throw broken();
    });
    const sessions = openSessions({ ...quiet, contingency });
    expect(await sessions.recover()).toMatchObject({ quarantined: 0, remaining: 1_000, complete: false });
    expect(asked).toBe(1);
  });
});

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileContingency } from 'event-sessions/file';
import { describe, expect, test } from 'vitest';
import type { ContingencyRecord, QuarantinedEntry } from '../../src/ports/contingency-log.js';
import { startAppender } from '../adapters/file/support/children.js';
import { placesOf, sealOf } from '../adapters/file/support/log-files.js';
import { describeWith } from '../support/services.js';
import { duringOutages, recordOneOfEach } from './support/backlog.js';
import { inFolder, runMain } from './support/run-main.js';

const AT = Date.UTC(2026, 0, 31, 12);
const started = (sessionId: string, at = AT): ContingencyRecord => {
  return { kind: 'session.started', sessionId, at, metadata: '{"user":"u-1"}', ttlMs: 60_000 };
};
const added = (sessionId: string, id: string, at = AT): ContingencyRecord => {
  const event = `{"specversion":"1.0","id":"${id}","type":"order.placed","time":"2026-01-31T12:00:00Z","datacontenttype":"application/json","data":{"card":"4111 1111"}}`;
  return { kind: 'event.added', sessionId, at, topic: 'orders', event };
};
const commit = (sessionId: string, at = AT): ContingencyRecord => {
  return { kind: 'session.commit_requested', sessionId, at, attemptId: 'a-1' };
};

async function write(
  path: string,
  records: readonly ContingencyRecord[],
  quarantine: readonly QuarantinedEntry[] = [],
) {
  const log = fileContingency({ path });
  if (quarantine.length > 0) {
    await log.append([started('gone')]);
    const sealed = await sealOf(log);
    const [place = -1] = await placesOf(sealed);
    await sealed.quarantine(quarantine.map((entry) => ({ ...entry, place })));
    await sealed.release();
  }
  for (const record of records) await log.append([record]);
  await log.close();
}

async function inspecting(folder: string, ...args: string[]) {
  return runMain(['inspect', '--file', join(folder, 'log.jsonl'), ...args]);
}

describe('inspect', () => {
  test('an empty or missing log', async () => {
    await inFolder(async (folder) => {
      const { code, stdout, stderr } = await inspecting(folder);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('Nothing waits for recovery');
      expect(stdout).toContain('Quarantine: empty');
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test('tells sessions, kinds, sizes, unreadable lines and the quarantine, as text and as JSON', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      const reason = 'neither the store nor the log knows this session';
      await write(
        path,
        [
          added('s-2', 'e-2', AT + 5),
          started('s-1', AT + 9),
          added('s-1', 'e-1', AT + 10),
          commit('s-1', AT + 20),
        ],
        [
          { record: added('s-9', 'e-9'), reason },
          { record: added('s-9', 'e-8'), reason },
          { unreadable: 'x', reason: 'not JSON' },
        ],
      );
      await writeFile(path, '\nnonsense\n', { flag: 'a' });

      const { code, stdout } = await inspecting(folder);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^4 records of 2 sessions · .* · the oldest .* ago$/m);
      expect(stdout).toMatch(/^1 line cannot be read/m);
      const [first, second] = stdout.split('\n').filter((line) => line.startsWith('s-'));
      expect(first).toMatch(/^s-2 +1 .* 1 event$/);
      expect(second).toMatch(/^s-1 +3 .* start, 1 event, commit$/);
      expect(stdout).toMatch(/^Quarantine: 3 entries/m);
      expect(stdout).toMatch(new RegExp(`^ +2 +${reason}$`, 'm'));
      expect(stdout).not.toContain('4111 1111');

      const json = JSON.parse((await inspecting(folder, '--json')).stdout);
      expect(json).toMatchObject({
        file: path,
        files: [{ path, sealed: false }],
        records: 4,
        unreadable: 1,
        unfinished: 0,
        oldestAt: AT + 5,
        sessions: [
          { sessionId: 's-2', records: 1, kinds: { 'event.added': 1 } },
          {
            sessionId: 's-1',
            records: 3,
            oldestAt: AT + 9,
            newestAt: AT + 20,
            kinds: { 'session.started': 1, 'event.added': 1, 'session.commit_requested': 1 },
          },
        ],
        quarantine: {
          entries: 3,
          reasons: [
            { reason, entries: 2 },
            { reason: 'not JSON', entries: 1 },
          ],
        },
      });
    });
  });

  test('shows no more sessions than asked for, and says how many there are', async () => {
    await inFolder(async (folder) => {
      await write(
        join(folder, 'log.jsonl'),
        ['a', 'b', 'c'].map((id, i) => started(id, AT + i)),
      );
      const { stdout } = await inspecting(folder, '--limit', '2');
      expect(stdout).toContain('… and 1 session more (--limit 0 shows all)');
      expect(stdout).not.toMatch(/^c /m);
      expect((await inspecting(folder, '--limit', '0')).stdout).toMatch(/^c /m);
    });
  });

  test('the story of a session has its records in the order of the log, and data only when asked for', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      const reason = 'the broker refuses this event for good';
      // The clock of the instance went back between the two events.
      const records = [
        started('s-1', AT),
        added('s-1', 'e-1', AT + 50),
        added('s-2', 'x', AT),
        added('s-1', 'e-2', AT + 10),
      ];
      await write(path, records, [{ record: added('s-1', 'e-0'), reason }]);
      const { code, stdout } = await inspecting(folder, '--session', 's-1');
      expect(code).toBe(0);
      expect(stdout).toContain('Store: not configured');
      expect(stdout).toContain('Log: 3 records to recover');
      const order = ['session.started', 'order.placed e-1', 'order.placed e-2', 'order.placed e-0'];
      const places = order.map((text) => stdout.indexOf(text));
      expect(places).toEqual([...places].sort((a, b) => a - b));
      expect(places).not.toContain(-1);
      expect(stdout).toContain(reason);
      expect(stdout).not.toMatch(/4111 1111|u-1/);
      expect((await inspecting(folder, '--session', 's-1', '--data')).stdout).toContain(
        '{"card":"4111 1111"}',
      );

      const json = JSON.parse((await inspecting(folder, '--session', 's-1', '--json')).stdout);
      expect(json).toMatchObject({
        sessionId: 's-1',
        store: { state: 'not configured' },
        steps: [
          { place: 'log', what: 'session.started', at: AT },
          {
            place: 'log',
            what: 'event.added',
            details: { topic: 'orders', event: { id: 'e-1', type: 'order.placed' } },
          },
          { place: 'log', what: 'event.added', details: { event: { id: 'e-2' } } },
          { place: 'quarantine', what: 'event.added', details: { event: { id: 'e-0' }, reason } },
        ],
      });
      expect(JSON.stringify(json)).not.toMatch(/4111 1111|u-1/);
    });
  });

  test('a session that nobody knows', async () => {
    await inFolder(async (folder) => {
      const { code, stdout } = await inspecting(folder, '--session', 's-1');
      expect(code).toBe(1);
      expect(stdout).toContain(
        'Nothing is known of session s-1. Looked in: the log and its quarantine. No store was named',
      );
    });
  });

  test('a store that cannot be reached hides nothing of the log', async () => {
    await inFolder(async (folder) => {
      await write(join(folder, 'log.jsonl'), [added('s-1', 'e-1')]);
      const { code, stdout } = await inspecting(folder, '--session', 's-1', '--redis', 'redis://127.0.0.1:1');
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Store: unreachable \(.*ECONNREFUSED/m);
      expect(stdout).toContain('order.placed e-1');
    });
  });

  test('what stands in the files cannot play with the terminal', async () => {
    await inFolder(async (folder) => {
      const evil = '\u001b[2J\u202eevil';
      await write(join(folder, 'log.jsonl'), [started(evil)], [{ unreadable: evil, reason: evil }]);
      const { stdout } = await inspecting(folder);
      expect(stdout).toContain('\\u001b[2J\\u202eevil');
      expect(stdout).not.toContain('\u001b');
      expect(stdout).not.toContain('\u202e');
    });
  });

  test('works while another process appends, and sees what it has acknowledged', async () => {
    await inFolder(async (folder) => {
      const appender = startAppender(join(folder, 'log.jsonl'), 'a', 200, 200);
      await appender.begun;
      let isRunning = true;
      const acknowledged = appender.acknowledged.finally(() => {
        isRunning = false;
      });
      let before = 1;
      while (isRunning) {
        const { code, stdout } = await inspecting(folder, '--json');
        expect(code).toBe(0);
        const { records, unreadable } = JSON.parse(stdout);
        expect(unreadable).toBe(0);
        expect(records).toBeGreaterThanOrEqual(before);
        before = records;
      }
      expect(await acknowledged).toHaveLength(200);
      expect(JSON.parse((await inspecting(folder, '--json')).stdout).records).toBe(200);
      expect(await readdir(folder)).toEqual(['log.jsonl']);
    });
  }, 60_000);
});

describeWith('redis', ({ url }) => {
  test("a session's story joins what the log and the store know", async () => {
    await inFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const prefix = 'cli-inspect';
      await duringOutages({ file, redis: url, prefix }, (outages) => recordOneOfEach(outages, 'cli-inspect'));
      const args = ['--redis', url, '--prefix', prefix, '--session', 'owed'];
      const { code, stdout } = await inspecting(folder, ...args);
      expect(code).toBe(0);
      expect(stdout).toMatch(
        /^Store: committed · 3 events · .* 0 published · 3 left to the log · 1 commit attempt/m,
      );
      const { store, steps } = JSON.parse((await inspecting(folder, ...args, '--json')).stdout);
      expect(store).toMatchObject({
        state: 'found',
        session: { status: 'committed', events: 3, deferred: 3 },
      });
      expect(
        steps.map(({ place, what }: { place: string; what: string }) => `${place} ${what}`).sort(),
      ).toEqual([
        ...Array.from({ length: 3 }, () => 'log event.unpublished'),
        'store committed',
        'store committing',
        'store open',
      ]);
      const nobody = await inspecting(folder, '--redis', url, '--prefix', prefix, '--session', 'nobody');
      expect(nobody).toMatchObject({ code: 1, stdout: expect.stringContaining('quarantine and the store') });
    });
  });
});

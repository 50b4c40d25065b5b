import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EventSessionsError, memoryContingency, memoryPublisher, memoryStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { consume, type RunningNsqd, startNsqd } from '../support/nsqd.js';
import { freePort } from '../support/process.js';
import { type RunningRedis, startRedis } from '../support/redis.js';
import { needs } from '../support/services.js';
import { duringOutages, type Outages, recordCommits, recordOneOfEach } from './support/backlog.js';
import { ROOT, startBin } from './support/run-bin.js';
import { inFolder, jsonLines, type MainOptions, runMain, withConfig } from './support/run-main.js';

/** Own servers: they are stopped and started in the middle. */
describe('recover on real Redis and nsqd', needs('redis', 'nsqd'), () => {
  let redis: RunningRedis;
  let nsqd: RunningNsqd;
  let number = 0;

  beforeAll(async () => {
    // It is killed here. With `everysec` Redis answers before it writes while the disk is slow.
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
    [redis, nsqd] = await Promise.all([startRedis({ args: durable }), startNsqd()]);
  });
  afterAll(async () => {
    await Promise.all([redis?.stop(), nsqd?.stop()]);
  });

  interface Place {
    readonly folder: string;
    readonly file: string;
    readonly prefix: string;
    readonly topic: string;
    readonly args: readonly string[];
    recover(args?: readonly string[], options?: MainOptions): ReturnType<typeof runMain>;
    backlog(work: (outages: Outages) => Promise<void>): Promise<void>;
    /** Records that wait in the log. */
    waiting(): Promise<number>;
  }

  /** A log, a prefix and a topic of its own. */
  async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
    await inFolder(async (folder) => {
      number += 1;
      const file = join(folder, 'log.jsonl');
      const prefix = `recover-${number}`;
      const args = ['--redis', redis.url, '--prefix', prefix, '--nsqd', nsqd.tcp, '--file', file];
      await work({
        folder,
        file,
        prefix,
        topic: prefix,
        args,
        recover: (more = [], options) => runMain(['recover', ...args, ...more], options),
        backlog: (outage) => duringOutages({ file, redis: redis.url, prefix }, outage),
        async waiting() {
          const { stdout } = await runMain(['inspect', '--file', file, '--json']);
          return JSON.parse(stdout).records;
        },
      });
    });
  }

  const idsOf = (bodies: readonly string[]) => bodies.map((body) => JSON.parse(body).id).sort();

  test('a dry run says what the pass then does, and changes nothing', async () => {
    await inPlace(async ({ folder, file, topic, recover, backlog, waiting }) => {
      await backlog((outages) => recordOneOfEach(outages, topic));
      const before = { records: await waiting(), files: await readdir(folder) };
      const dry = await recover(['--dry-run', '--json']);
      expect(dry).toMatchObject({ code: 0, stderr: '' });
      const [plan] = jsonLines(dry.stdout) as { sessions: Record<string, number>[] }[];
      const sessions = plan?.sessions ?? [];
      expect(Object.fromEntries(sessions.map((session) => [session.sessionId, session]))).toMatchObject({
        owed: { status: 'committed', publish: 3, restore: 0 },
        late: { status: 'committed', publish: 1 },
        'rolled-back': { status: 'open', end: 'rollback', discard: 1 },
        fresh: { status: 'unknown', start: true, restore: 2, end: 'commit', publish: 2 },
        open: { start: true, restore: 1, publish: 0 },
      });
      expect({ records: await waiting(), files: await readdir(folder) }).toEqual(before);
      expect((await recover(['--dry-run'])).stdout).toMatch(
        /^fresh +unknown +start it, bring back 2 events, commit it, publish 2 events$/m,
      );

      const { code, stdout } = await recover(['--json']);
      expect(code).toBe(0);
      const end = jsonLines(stdout).at(-1) as { report: Record<string, number> };
      const sum = (field: string) => sessions.reduce((total, session) => total + (session[field] ?? 0), 0);
      expect(end).toMatchObject({
        type: 'end',
        exitCode: 0,
        passes: 1,
        left: 0,
        report: {
          sessions: 5,
          events: sum('restore'),
          published: sum('publish'),
          discarded: sum('discard'),
          quarantined: 0,
        },
      });
      const ids = ['fresh-1', 'fresh-2', 'late-1', 'owed-1', 'owed-2', 'owed-3'];
      expect(idsOf(await consume(nsqd.tcp, topic, { count: 6 }))).toEqual(ids);
      expect(await waiting()).toBe(0);
      expect(await readdir(folder)).toEqual([]);
      expect(file).toContain(folder);
    });
  });

  test('JSON lines tell each session, plain lines the outcome', async () => {
    await inPlace(async ({ topic, recover, backlog }) => {
      await backlog((outages) => recordOneOfEach(outages, topic));
      const { stdout, stderr } = await recover(['--json']);
      const lines = jsonLines(stdout);
      expect(stderr).toBe('');
      expect(lines[0]).toMatchObject({ type: 'start', sessions: 5, records: 12 });
      expect(new Set(lines.map(({ type }) => type))).toEqual(
        new Set(['start', 'recovered', 'progress', 'pass', 'end']),
      );
      expect(lines).toContainEqual({ type: 'recovered', sessionId: 'owed', records: 3, published: 3 });

      await backlog((outages) => recordOneOfEach(outages, topic, 'again-'));
      const plain = await recover(['--verbose']);
      expect(plain.code).toBe(0);
      expect(plain.stdout).toMatch(
        /^All done in .*\n +5 {2}sessions looked at\n +3 {2}events brought back[\s\S]*\n +0 {2}left in the log\n$/,
      );
      expect(plain.stderr).toMatch(/: 12 records of 5 sessions/);
      expect(plain.stderr).toMatch(/^recovered {2}again-owed {2}3 records, 3 published$/m);
      expect(plain.stdout + plain.stderr).not.toContain('\u001b');
    });
  });

  test('a path where there is no log is named', async () => {
    await inPlace(async ({ file, recover }) => {
      const { code, stdout, stderr } = await recover();
      expect(code).toBe(0);
      expect(stderr).toBe(`${file}: nothing waits, there is no such file\n`);
      expect(stdout).toMatch(/^All done/);
    });
  });

  test('a terminal gets a bar, which leaves nothing behind', async () => {
    await inPlace(async ({ topic, prefix, recover, backlog }) => {
      await backlog((outages) =>
        recordCommits(outages, { count: 3, events: 2, topic, prefix: `${prefix}-` }),
      );
      const { code, stdout, stderr } = await recover([], { tty: true, env: { NO_COLOR: '1' } });
      expect(code).toBe(0);
      expect(stderr).toContain('\r\u001b[2KRecovering ');
      expect(stderr).toMatch(/Recovering █+ 12\/12 records · 3 sessions · 6 published/);
      expect(new Set(stderr.match(/\d+ records/g))).toEqual(new Set(['12 records']));
      expect(stderr.endsWith('\r\u001b[2K')).toBe(true);
      expect(stdout).toMatch(/^All done/);
    });
  });

  test('records of a session that nobody knows wait as long as one lives, and then go into quarantine', async () => {
    await inPlace(async ({ folder, topic, recover, backlog, file, waiting }) => {
      await backlog(async ({ withoutStore }) => {
        await withoutStore.session('nobody').add('order.placed', {}, { topic });
      });
      await writeFile(file, '\nnonsense\n', { flag: 'a' });
      const dry = await recover(['--dry-run']);
      expect(dry.code).toBe(1);
      expect(dry.stdout).toMatch(
        /^nobody +unknown +leave 1 record for later: what is missing may still come$/m,
      );
      expect(dry.stdout).toContain('after 1 d they go into quarantine');
      expect(dry.stdout).toContain('Would put 1 record into the quarantine, 1 unreadable line among them.');
      const first = await recover();
      expect(first.code).toBe(1);
      expect(first.stderr).toMatch(/^quarantined {2}not JSON$/m);
      expect(first.stdout).toMatch(/^Not all done[\s\S]*^ +1 {2}left in the log$/m);
      const why = 'left 1 record of sessions that the log of another host may still bring; after 1 d';
      expect(first.stderr).toContain(`note  ${why} they go into quarantine`);
      // Waits for two passes of the others, not for the 10 minutes of its own.
      const others = join(folder, 'others.mjs');
      await writeFile(others, 'export default { recovery: { intervalMs: 100 } };');
      const last = await recover(['--until-done', '--json', '--config', others]);
      expect(last.code).toBe(1);
      expect(jsonLines(last.stdout).map(({ type }) => type)).toContain('waiting');
      expect(jsonLines(last.stdout).at(-1)).toMatchObject({
        passes: 2,
        left: 1,
        notes: [expect.stringContaining(why)],
      });
      expect(await waiting()).toBe(1);

      const config = join(folder, 'impatient.mjs');
      await writeFile(config, 'export default { ttl: 1 };');
      expect((await recover(['--dry-run', '--config', config])).stdout).toMatch(
        /^nobody +unknown +quarantine 1 record: neither the store nor the log knows this session$/m,
      );
      const { code, stdout, stderr } = await recover(['--config', config]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^quarantined {2}nobody {2}neither the store nor the log knows this session$/m);
      expect(stdout).toContain('Done, but not all of it could be brought back');
      expect(stdout).toContain(`Look at ${file}.quarantine.jsonl`);
      expect(await recover()).toMatchObject({ code: 0 });
    });
  });

  test('finishes a commit that somebody left in the middle', async () => {
    await inPlace(async ({ topic, prefix, recover, backlog }) => {
      const store = redisStore({ url: redis.url, prefix });
      await backlog(async ({ withoutBroker }) => {
        await withoutBroker.startSession({ sessionId: 'left' });
        for (const n of [1, 2])
          await withoutBroker.session('left').add('order.placed', { n }, { id: `left-${n}`, topic });
      });
      const begun = await store.beginCommit('left', {
        attemptId: 'a-1',
        leaseMs: 60_000,
        cause: { instance: 'gone' },
      });
      expect(begun).toMatchObject({ outcome: 'granted', epoch: 1 });
      await store.releaseCommit('left', 1);
      const dry = await recover(['--dry-run']);
      expect(dry.stdout).toMatch(/^left +committing +finish the interrupted commit, publish 2 events$/m);
      expect(await recover()).toMatchObject({ code: 0 });
      expect(idsOf(await consume(nsqd.tcp, topic, { count: 2 }))).toEqual(['left-1', 'left-2']);
      await store.close();
    });
  });

  test('says that a commit can never be finished', async () => {
    await inPlace(async ({ topic, prefix, recover, backlog }) => {
      await backlog(async ({ withoutBroker }) => {
        await withoutBroker.startSession({ sessionId: 'lost' });
        await withoutBroker.session('lost').add('order.placed', { n: 1 }, { topic });
      });
      const store = redisStore({ url: redis.url, prefix });
      const cause = { instance: 'gone' };
      await store.beginCommit('lost', { attemptId: 'a-1', leaseMs: 60_000, cause });
      await store.releaseCommit('lost', 1);
      await store.close();
      const client = new Redis(redis.url);
      expect(await client.del(`${prefix}:{lost}:events`)).toBe(1);
      await client.quit();
      for (const args of [[], ['--until-done']]) {
        const { code, stdout } = await recover(args);
        expect(code).toBe(1);
        expect(stdout).toMatch(/^Done, but not all of it could be brought back/);
        expect(stdout).toMatch(/^ +1 {2}commit that cannot be finished: .*SESSION_CORRUPT/m);
      }
    });
  });

  test.each(['--dry-run', '--json'])(
    'a wrong option of the config file is wrong usage, also with %s',
    async (flag) => {
      await inPlace(async ({ folder, recover }) => {
        const config = join(folder, 'wrong.mjs');
        await writeFile(config, 'export default { ttl: "24h" };');
        const { code, stdout, stderr } = await recover([flag, '--config', config]);
        expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
        expect(stderr).toContain(`${config}: ttl: expected a whole number`);
      });
    },
  );

  test('without a store nothing is touched: exit code 3', async () => {
    await inPlace(async ({ folder, file, recover, backlog, topic }) => {
      await backlog((outages) => recordOneOfEach(outages, topic));
      const before = await readdir(folder);
      const nowhere = ['recover', '--redis', 'redis://127.0.0.1:1', '--nsqd', nsqd.tcp, '--file', file];
      const { code, stdout, stderr } = await runMain(nowhere);
      expect(code).toBe(3);
      expect(stderr).toMatch(/^note {2}Redis cannot be reached: .*ECONNREFUSED/m);
      expect(stdout).toMatch(/^Not all done/);
      expect(await readdir(folder)).toEqual(before);
      expect((await runMain([...nowhere, '--dry-run'])).code).toBe(3);
      expect(await recover()).toMatchObject({ code: 0 });
    });
  });

  test('without a broker the store is served, the rest is left: exit code 3', async () => {
    await inPlace(async ({ file, prefix, recover, backlog, topic, waiting }) => {
      await backlog((outages) => recordOneOfEach(outages, topic));
      const port = await freePort();
      const args = ['--redis', redis.url, '--prefix', prefix, '--nsqd', `127.0.0.1:${port}`, '--file', file];
      const { code, stdout } = await runMain(['recover', ...args, '--json']);
      expect(code).toBe(3);
      const end = jsonLines(stdout).at(-1) as { left: number; notes: string[] };
      expect(end.notes).toEqual([expect.stringContaining('No nsqd can be reached')]);
      expect(end.left).toBe(await waiting());
      expect(end.left).toBeGreaterThan(0);
      const store = redisStore({ url: redis.url, prefix });
      expect((await store.get('rolled-back'))?.status).toBe('rolled_back');
      await store.close();
      expect(await recover()).toMatchObject({ code: 0 });
      expect(idsOf(await consume(nsqd.tcp, topic, { count: 6 }))).toHaveLength(6);
    });
  });

  test('until done: waits for a store that comes back', async () => {
    await inPlace(async ({ topic, recover, backlog }) => {
      await backlog((outages) => recordOneOfEach(outages, topic));
      redis.signal('SIGKILL');
      let restarted: Promise<void> | undefined;
      const { code, stdout } = await recover(['--until-done', '--json'], {
        onStdout(text) {
          if (text.includes('"waiting"')) restarted ??= redis.restart();
        },
      });
      await restarted;
      expect(code).toBe(0);
      expect(jsonLines(stdout)).toContainEqual(
        expect.objectContaining({ type: 'note', message: expect.stringContaining('Redis') }),
      );
      expect(idsOf(await consume(nsqd.tcp, topic, { count: 6 }))).toHaveLength(6);
    });
  });

  test('until done has an end', async () => {
    await inFolder(async (folder) => {
      const args = [
        '--redis',
        'redis://127.0.0.1:1',
        '--nsqd',
        nsqd.tcp,
        '--file',
        join(folder, 'log.jsonl'),
      ];
      const { code, stderr } = await runMain(['recover', ...args, '--until-done', '--timeout', '1200ms']);
      expect(code).toBe(3);
      expect(stderr).toContain('the time is over');
    });
  });

  test('asked to end in the middle of a pass: the session at work is finished, the others stay', async () => {
    await inPlace(async ({ folder, topic, prefix, recover, backlog, waiting }) => {
      await backlog((outages) =>
        recordCommits(outages, { count: 6, events: 3, topic, prefix: `${prefix}-` }),
      );
      const controller = new AbortController();
      const { code, stdout } = await recover(['--json'], {
        signal: controller.signal,
        onStdout(text) {
          if (text.includes('"recovered"')) controller.abort('SIGTERM');
        },
      });
      expect(code).toBe(143);
      const lines = jsonLines(stdout);
      expect(lines.at(-1)).toMatchObject({ type: 'end', exitCode: 143, left: 25 });
      expect(lines.filter(({ type }) => type === 'recovered')).toHaveLength(1);
      expect(await waiting()).toBe(25);
      // Nothing is half done: no lock, no file half written.
      expect(
        (await readdir(folder)).filter(
          (name) => !/^log\.jsonl(\.\d{12}-[0-9a-f]{8}\.sealed(\.settled)?)?$/.test(name),
        ),
      ).toEqual([]);
      expect(await recover()).toMatchObject({ code: 0 });
      expect(idsOf(await consume(nsqd.tcp, topic, { count: 18 }))).toHaveLength(18);
    });
  });

  test('Ctrl-C while the broker hangs: ends cleanly with 130, and the next pass completes the rest', async () => {
    await inPlace(async ({ args, folder, topic, prefix, recover, backlog, waiting }) => {
      await backlog((outages) =>
        recordCommits(outages, { count: 6, events: 3, topic, prefix: `${prefix}-` }),
      );
      const store = redisStore({ url: redis.url, prefix });
      nsqd.signal('SIGSTOP');
      const bin = startBin(['recover', ...args]);
      // The first session has begun; its events hang.
      while ((await store.get(`${prefix}-0`))?.status !== 'committing')
        await new Promise((resolve) => setImmediate(resolve));
      bin.child.kill('SIGINT');
      await bin.printed(/Press Ctrl-C again to stop at once/);
      nsqd.signal('SIGCONT');
      const { code, stderr } = await bin.ended;
      expect({ code, stderr }).toMatchObject({
        code: 130,
        stderr: expect.stringContaining('ended early, as asked'),
      });
      expect(await waiting()).toBeGreaterThan(0);
      expect((await readdir(folder)).filter((name) => /lock|tmp/.test(name))).toEqual([]);
      expect(await recover()).toMatchObject({ code: 0 });
      const ids = new Set(idsOf(await consume(nsqd.tcp, topic, { count: 18 })));
      expect(ids.size).toBe(18);
      await store.close();
    });
  });

  test('another recovery at work is named, and what it holds is left to it', async () => {
    await inPlace(async ({ file, topic, prefix, recover, backlog }) => {
      await backlog((outages) =>
        recordCommits(outages, { count: 1, events: 1, topic, prefix: `${prefix}-` }),
      );
      const script = join(ROOT, 'test/adapters/file/support/seal-and-wait.ts');
      const other = spawn(process.execPath, ['--import', 'tsx', script, file], {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(other.stdout, 'data');
      const { code, stderr } = await recover();
      const inspected = await runMain(['inspect', '--file', file]);
      const gone = once(other, 'exit');
      other.kill('SIGKILL');
      await gone;
      expect(code).toBe(1);
      expect(stderr).toContain(`a recovery is at work on it: process ${other.pid}`);
      expect(inspected.stdout).toContain(`a recovery is at work on it: process ${other.pid}`);
      expect((await runMain(['inspect', '--file', file])).stdout).toContain('has left its lock behind');
      expect(await recover()).toMatchObject({ code: 0 });
    });
  });

  test('runs while a service goes on appending, and loses nothing of it', async () => {
    await inPlace(async ({ topic, prefix, recover, backlog, waiting }) => {
      await backlog((outages) =>
        recordCommits(outages, { count: 20, events: 5, topic, prefix: `${prefix}-a-` }),
      );
      const adding = backlog((outages) =>
        recordCommits(outages, { count: 20, events: 5, topic, prefix: `${prefix}-b-` }),
      );
      let isRunning = true;
      const added = adding.finally(() => {
        isRunning = false;
      });
      while (isRunning) expect([0, 1]).toContain((await recover()).code);
      await added;
      expect(await recover()).toMatchObject({ code: 0 });
      expect(await waiting()).toBe(0);
      const ids = new Set(idsOf(await consume(nsqd.tcp, topic, { count: 200 })));
      expect(ids.size).toBe(200);
    });
  });
});

test('a log that cannot be read, or goes bad, is told at the end like everything that is left', async () => {
  const away = () => Promise.reject(new EventSessionsError('CONTINGENCY_FAILED', 'the log is away'));
  for (const fault of [{ seal: away }, { backlog: away }]) {
    const parts = () => {
      return {
        store: memoryStore(),
        publisher: memoryPublisher(),
        contingency: { ...memoryContingency(), ...fault },
      };
    };
    Object.assign(globalThis, { configOfRecover: parts });
    await withConfig('export default globalThis.configOfRecover', async (cwd) => {
      const { code, stdout } = await runMain(['recover', '--json'], { cwd });
      expect(code).toBe(1);
      expect(jsonLines(stdout).at(-1)).toMatchObject({
        type: 'end',
        exitCode: 1,
        notes: ['the log is away'],
      });
      const text = await runMain(['recover'], { cwd });
      expect(text).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/^Not all done[\s\S]*\? {2}left in the log/),
        stderr: expect.stringContaining('the log is away'),
      });
    });
  }
});

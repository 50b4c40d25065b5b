import { once } from 'node:events';
import { access, chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileContingency } from 'event-sessions/file';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAtLeast } from '../../src/cli/doctor/check.js';
import { probeNsqd } from '../../src/cli/doctor/nsqd-probe.js';
import { placesOf, sealOf } from '../adapters/file/support/log-files.js';
import { inject } from '../support/injecting.js';
import { type RunningNsqd, startNsqd, TLS_REQUIRED } from '../support/nsqd.js';
import { freePort } from '../support/process.js';
import { type RunningRedis, startRedis } from '../support/redis.js';
import { redisCommand } from '../support/redis-node.js';
import { describeWith, needs } from '../support/services.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { startBin } from './support/run-bin.js';
import { inFolder, runMain, withConfig } from './support/run-main.js';

const NOBODY = 65_534;

interface Line {
  readonly status: string;
  readonly name: string;
  readonly message: string;
  readonly advice?: string;
}

async function examine(args: readonly string[], cwd?: string) {
  const { code, stdout, stderr } = await runMain(
    ['doctor', ...args, '--json'],
    cwd === undefined ? {} : { cwd },
  );
  expect(stderr).toBe('');
  const { status, checks } = JSON.parse(stdout) as { status: string; checks: Line[] };
  const of = (name: string) => checks.find((check) => check.name === name);
  return { code, status, checks, of };
}

describe('doctor', () => {
  test('says what was not named, and that this is no error', async () => {
    await inFolder(async (folder) => {
      const { code, status, of } = await examine([], folder);
      expect({ code, status }).toEqual({ code: 0, status: 'warning' });
      expect(of('node.version')).toMatchObject({ status: 'ok' });
      expect(of('store.configured')).toMatchObject({ status: 'warning', advice: 'name it with --redis' });
      expect(of('publisher.configured')).toMatchObject({ status: 'warning' });
      expect(of('file.folder')).toMatchObject({ status: 'ok' });
    });
  });

  test('what cannot be reached is an error with advice, in text too', async () => {
    await inFolder(async (folder) => {
      const port = await freePort();
      const args = ['--redis', `redis://user:secret@127.0.0.1:${port}`, '--nsqd', `127.0.0.1:${port}`];
      const { code, of } = await examine(args, folder);
      expect(code).toBe(1);
      expect(of('redis.reachable')).toMatchObject({
        status: 'error',
        message: expect.stringContaining('ECONNREFUSED'),
      });
      expect(of('nsqd.reachable')).toMatchObject({
        status: 'error',
        message: expect.stringContaining('ECONNREFUSED'),
      });
      const { stdout } = await runMain(['doctor', ...args], { cwd: folder });
      expect(stdout).toMatch(/^ {2}error {4}cannot be reached: .*\n {11}→ check that it runs/m);
      expect(stdout).toMatch(/^2 errors, /m);
      expect(stdout).toContain(`redis://user:***@127.0.0.1:${port}`);
      expect(stdout).not.toContain('secret');
    });
  });

  test('a password in the query of a URL is not shown', async () => {
    await inFolder(async (folder) => {
      const args = ['--redis', `redis://127.0.0.1:${await freePort()}?password=secret`];
      expect((await runMain(['doctor', ...args], { cwd: folder })).stdout).not.toContain('secret');
    });
  });

  test('says which codec recover and serve would use, and whether that is only assumed', async () => {
    await inFolder(async (folder) => {
      const nsqd = ['--nsqd', `127.0.0.1:${await freePort()}`];
      const codecOf = async (...args: string[]) =>
        (await examine([...nsqd, ...args], folder)).of('codec.configured');
      expect(await codecOf()).toMatchObject({
        status: 'ok',
        message: expect.stringContaining('none was named'),
      });
      for (const codec of ['json', 'cloudevents']) {
        const check = await codecOf('--codec', codec);
        expect(check).toMatchObject({ status: 'ok', message: expect.stringMatching(`^${codec}: `) });
      }
      expect((await examine([], folder)).of('codec.configured')).toBeUndefined();
    });
  });

  test('adapters of the config file are asked, and it says what more it could tell', async () => {
    const part = (ping: string) =>
      `{ append() {}, seal() {}, backlog() {}, get() {}, list() {}, due() {}, publish() {}, ping: async () => { ${ping} }, close: async () => {} }`;
    const config = `export default { store: ${part('')}, publisher: ${part('throw new Error("broker away")')}, contingency: ${part('')} }`;
    await withConfig(config, async (folder) => {
      const { code, of } = await examine([], folder);
      expect(code).toBe(1);
      expect(of('store.reachable')).toMatchObject({ status: 'ok' });
      expect(of('store.details')?.advice).toContain('the key redis');
      expect(of('publisher.reachable')).toMatchObject({ status: 'error', message: 'broker away' });
      expect(of('contingency.reachable')).toMatchObject({ status: 'ok' });
      expect(of('contingency.details')?.advice).toContain('the key file');
    });
  });

  test.each([
    ['7.0.15', '6.2', true],
    ['6.2.0', '6.2', true],
    ['6.0.16', '6.2', false],
    ['20.9.0', '>=20.15', false],
    ['v22.1.0', '>=20.15', true],
    ['1.3.0', '1.3', true],
    ['1.2.1', '1.3', false],
  ])('%s is at least %s: %s', (version, wanted, answer) => {
    expect(isAtLeast(version, wanted)).toBe(answer);
  });
});

describe('doctor on Redis', needs('redis'), () => {
  let good: RunningRedis;
  let bad: RunningRedis;

  beforeAll(async () => {
    [good, bad] = await Promise.all([
      startRedis({
        args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
      }),
      startRedis({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([good?.stop(), bad?.stop()]);
  });

  test('one that is as it should be has nothing but ok', async () => {
    const { checks } = await examine(['--redis', good.url]);
    const lines = checks.filter(({ name }) => name.startsWith('redis.'));
    expect(lines.map(({ name, status }) => `${status} ${name}`)).toEqual([
      'ok redis.reachable',
      'ok redis.version',
      'ok redis.role',
      'ok redis.eviction',
      'ok redis.appendonly',
      'ok redis.appendfsync',
      'ok redis.scripts',
      'ok redis.clock',
    ]);
    expect(lines[1]?.message).toBe(`version ${good.version}`);
  });

  test('it leaves no key behind', async () => {
    await examine(['--redis', good.url]);
    expect(await redisCommand(good.port, 'DBSIZE')).toBe(0);
  });

  test('an eviction policy with a limit is an error, without one a warning; no append-only file is a warning', async () => {
    const { code, of } = await examine(['--redis', bad.url]);
    expect(code).toBe(1);
    expect(of('redis.eviction')).toMatchObject({
      status: 'error',
      message: 'maxmemory-policy allkeys-lru, maxmemory 100 MiB: sessions are dropped when it is full',
      advice: expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
    });
    expect(of('redis.appendonly')).toMatchObject({
      status: 'warning',
      advice: expect.stringContaining('appendonly yes'),
    });
    await redisCommand(bad.port, 'CONFIG', 'SET', 'maxmemory', 0);
    expect((await examine(['--redis', bad.url])).of('redis.eviction')).toMatchObject({ status: 'warning' });
  });

  test('appendfsync no is a warning', async () => {
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'no'] });
    try {
      expect((await examine(['--redis', redis.url])).of('redis.appendfsync')).toMatchObject({
        status: 'warning',
      });
    } finally {
      await redis.stop();
    }
  });

  test('a replica is an error that names its primary', async () => {
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', `${good.port}`] });
    try {
      expect((await examine(['--redis', replica.url])).of('redis.role')).toMatchObject({
        status: 'error',
        message: expect.stringContaining(`replica of 127.0.0.1:${good.port}`),
      });
    } finally {
      await replica.stop();
    }
  });

  test('a user who may not use what the scripts use is named the commands; one who may not run scripts is told', async () => {
    await redisCommand(
      good.port,
      'ACL',
      'SETUSER',
      'no-hashes',
      'on',
      '>pw',
      '~*',
      '+@all',
      '-hset',
      '-zadd',
    );
    await redisCommand(good.port, 'ACL', 'SETUSER', 'no-scripts', 'on', '>pw', '~*', '+@all', '-@scripting');
    await redisCommand(
      good.port,
      'ACL',
      'SETUSER',
      'no-admin',
      'on',
      '>pw',
      '~event-sessions:*',
      '+@all',
      '-@dangerous',
    );
    const as = async (user: string) => examine(['--redis', `redis://${user}:pw@127.0.0.1:${good.port}`]);
    expect((await as('no-hashes')).of('redis.scripts')).toMatchObject({
      status: 'error',
      message: 'its user may not use HSET ZADD',
    });
    expect((await as('no-scripts')).of('redis.scripts')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('NOPERM'),
    });
    const unprivileged = await as('no-admin');
    expect(unprivileged.code).toBe(0);
    expect(unprivileged.of('redis.scripts')).toMatchObject({ status: 'ok' });
    expect(unprivileged.of('redis.version')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('forbidden'),
    });
    expect(unprivileged.of('redis.eviction')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('cannot be told'),
    });
  });

  test('a wrong password is an error that says so', async () => {
    const { of } = await examine(['--redis', `redis://nobody:wrong@127.0.0.1:${good.port}`]);
    expect(of('redis.reachable')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('WRONGPASS'),
      advice: expect.stringContaining('password'),
    });
  });

  test('a database that it does not have is an error', async () => {
    const { of } = await examine(['--redis', `${good.url}/99`]);
    expect(of('redis.reachable')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('DB index is out of range'),
    });
  });

  test('one that hangs is given up', async () => {
    const proxy = await startTcpProxy({ host: '127.0.0.1', port: good.port });
    proxy.mode = 'mute';
    try {
      const { of } = await examine(['--redis', `redis://127.0.0.1:${proxy.port}`]);
      expect(of('redis.reachable')).toMatchObject({
        status: 'error',
        message: expect.stringContaining('no answer within'),
      });
    } finally {
      await proxy.close();
    }
  });
});

describeWith('cluster', ({ nodes }) => {
  test('doctor: a node of a cluster is named as such', async () => {
    const [node] = nodes;
    const { of } = await examine(['--redis', `redis://${node?.host}:${node?.port}`]);
    expect(of('redis.cluster')).toMatchObject({
      status: 'error',
      advice: expect.stringContaining('new Cluster'),
    });
  });
});

describe('doctor on nsqd', needs('nsqd'), () => {
  let nsqd: RunningNsqd;

  beforeAll(async () => {
    nsqd = await startNsqd({ args: ['--max-msg-size=5000', '--max-body-size=20000', '--mem-queue-size=0'] });
  });
  afterAll(async () => {
    await nsqd?.stop();
  });

  test('reads its limits from it without publishing or creating anything', async () => {
    expect(await probeNsqd(nsqd.tcp)).toEqual({
      version: nsqd.version,
      authRequired: false,
      tlsRequired: false,
      maxMessageBytes: 5_000,
      maxRequestBytes: 20_000,
    });
    const stats = (await (await fetch(`http://${nsqd.http}/stats?format=json`)).json()) as {
      topics: unknown[];
    };
    expect(stats.topics).toEqual([]);
  });

  test('limits below those of the publisher are errors, with both ways out', async () => {
    const { code, of } = await examine(['--nsqd', nsqd.tcp, '--nsqd-http', nsqd.http]);
    expect(code).toBe(1);
    expect(of('nsqd.version')).toMatchObject({ status: 'ok', message: `version ${nsqd.version}` });
    expect(of('nsqd.max-msg-size')).toMatchObject({
      status: 'error',
      advice: 'start nsqd with --max-msg-size=1048576, or give nsqPublisher maxMessageBytes: 5000',
    });
    expect(of('nsqd.max-body-size')).toMatchObject({
      status: 'error',
      advice: 'start nsqd with --max-body-size=5242880, or give nsqPublisher maxRequestBytes: 20000',
    });
    expect(of('nsqd.mem-queue-size')).toMatchObject({ status: 'ok' });
    const fitting = ['--max-message-bytes', '5000', '--max-request-bytes', '20000'];
    const mended = await examine(['--nsqd', nsqd.tcp, '--nsqd-http', nsqd.http, ...fitting]);
    expect(mended.code).toBe(0);
  });

  test('a memory queue is a warning; without the HTTP port it is unknown', async () => {
    const plain = await startNsqd();
    try {
      const both = [
        '--nsqd',
        plain.tcp,
        '--nsqd',
        nsqd.tcp,
        '--nsqd-http',
        nsqd.http,
        '--nsqd-http',
        plain.http,
      ];
      const { checks } = await examine(both);
      const queues = checks.filter(({ name }) => name === 'nsqd.mem-queue-size');
      expect(queues).toMatchObject([
        { status: 'warning', advice: 'start nsqd with --mem-queue-size=0' },
        { status: 'ok' },
      ]);
      const { of } = await examine(['--nsqd', plain.tcp, '--nsqd-http', nsqd.http]);
      expect(of('nsqd.mem-queue-size')).toMatchObject({
        status: 'warning',
        message: expect.stringContaining('unknown'),
      });
    } finally {
      await plain.stop();
    }
  });

  test.each(['<html>', 'null', '[]'])(
    'an HTTP port that answers %s is not that of the nsqd',
    async (body) => {
      const other = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
      await once(other, 'listening');
      const { port } = other.address() as AddressInfo;
      const { of } = await examine(['--nsqd', nsqd.tcp, '--nsqd-http', `127.0.0.1:${port}`]);
      expect(of('nsqd.mem-queue-size')).toMatchObject({
        status: 'warning',
        message: expect.stringContaining('no HTTP port of this nsqd'),
      });
      other.closeAllConnections();
      await new Promise((resolve) => other.close(resolve));
    },
  );

  test('a nsqd that takes nothing without TLS is an error, with the way out', async () => {
    const closed = await startNsqd({ args: TLS_REQUIRED });
    try {
      const { code, of } = await examine(['--nsqd', closed.tcp, '--nsqd-http', closed.http]);
      expect(code).toBe(1);
      expect(of('nsqd.tls')).toMatchObject({
        status: 'error',
        advice: expect.stringContaining('--tls-required'),
      });
    } finally {
      await closed.stop();
    }
  });

  test('what is no nsqd is named as such', async () => {
    const { of } = await examine(['--nsqd', nsqd.http]);
    expect(of('nsqd.reachable')).toMatchObject({ status: 'error' });
  });
});

describe('doctor on the contingency log', () => {
  const on = (path: string, ...args: string[]) => examine(['--file', path, ...args]);

  test('a folder that is none, or not there', async () => {
    await inFolder(async (folder) => {
      await writeFile(join(folder, 'file'), '');
      expect((await on(join(folder, 'file', 'log.jsonl'))).of('file.folder')).toMatchObject({
        status: 'error',
      });
      expect((await on(join(folder, 'new', 'log.jsonl'))).of('file.folder')).toMatchObject({
        status: 'warning',
        message: `${join(folder, 'new')} does not exist yet`,
      });
      await mkdir(join(folder, 'log.jsonl'));
      expect((await on(join(folder, 'log.jsonl'))).of('file.folder')).toMatchObject({
        status: 'error',
        message: expect.stringContaining('is not a file'),
      });
    });
  });

  test('a folder that no system call takes', async () => {
    await inFolder(async (folder) => {
      await symlink('loop', join(folder, 'loop'));
      for (const [name, errno] of [
        ['x'.repeat(300), 'ENAMETOOLONG'],
        ['loop', 'ELOOP'],
      ] as const) {
        const { code, of } = await on(join(folder, name, 'log.jsonl'));
        expect(code).toBe(1);
        expect(of('file.folder')).toMatchObject({ status: 'error', message: expect.stringContaining(errno) });
      }
    });
  });

  test('a folder without permission', async (context) => {
    await inFolder(async (folder) => {
      const closed = join(folder, 'closed');
      await mkdir(closed, { mode: 0o555 });
      await chmod(folder, 0o755);
      // Root may write everywhere, so it asks as somebody else.
      const isRoot = process.getuid?.() === 0;
      const args = ['doctor', '--json', '--file', join(closed, 'log.jsonl')];
      const { code, stdout, stderr } = isRoot
        ? await inject(context, 'give up root', () => startBin(args, { uid: NOBODY }).ended)
        : await startBin(args).ended;
      if (/EACCES.*(tsx|node_modules|src)/.test(stderr))
        context.skip('the sources are not readable for others');
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      const { checks } = JSON.parse(stdout) as { checks: Line[] };
      expect(checks.find(({ name }) => name === 'file.folder')).toMatchObject({
        status: 'error',
        message: `cannot write to ${closed}: EACCES`,
      });
    });
  });

  test('a mode that lets others read is a warning that says how to mend it', async (context) => {
    if (process.platform === 'win32') context.skip('Windows has no such modes');
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      const log = fileContingency({ path });
      await log.append([{ kind: 'session.rollback_requested', sessionId: 's-1', at: Date.now() }]);
      await log.close();
      expect((await on(path)).of('file.mode')).toMatchObject({ status: 'ok' });
      await chmod(path, 0o640);
      expect((await on(path)).of('file.mode')).toMatchObject({
        status: 'warning',
        message: `others may read events' data: ${path} has mode 0640`,
        advice: `chmod 600 ${path}`,
      });
    });
  });

  test('backlog, age, quarantine, unreadable lines and room', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      const log = fileContingency({ path });
      await log.append([{ kind: 'session.rollback_requested', sessionId: 's-1', at: Date.now() }]);
      expect((await on(path)).of('file.backlog')).toMatchObject({
        status: 'ok',
        message: expect.stringMatching(/^1 record of 1 session wait/),
      });
      await log.append([
        { kind: 'session.rollback_requested', sessionId: 's-2', at: Date.now() - 3_600_000 },
      ]);
      await writeFile(path, '\nnonsense\n', { flag: 'a' });
      const old = await on(path);
      expect(old.of('file.backlog')).toMatchObject({
        status: 'warning',
        advice: expect.stringContaining('event-sessions recover'),
      });
      expect(old.of('file.unreadable')).toMatchObject({
        status: 'warning',
        message: '1 line cannot be read',
      });
      expect(old.of('file.quarantine')).toMatchObject({ status: 'ok' });
      expect(old.of('file.room')).toMatchObject({ status: 'ok' });
      const { size } = await stat(path);
      expect((await on(path, '--max-bytes', `${size}`)).of('file.backlog')).toMatchObject({
        status: 'error',
        message: expect.stringContaining('the log is full'),
      });
      expect((await on(path, '--max-bytes', '8000TiB')).of('file.room')).toMatchObject({ status: 'warning' });

      const sealed = await sealOf(log);
      const places = await placesOf(sealed);
      await sealed.quarantine([{ place: places[0] ?? 0, unreadable: 'nonsense', reason: 'not JSON' }]);
      await sealed.settle(places);
      await sealed.release();
      await log.close();
      const after = await on(path);
      expect(after.of('file.backlog')).toMatchObject({ status: 'ok' });
      expect(after.of('file.quarantine')).toMatchObject({
        status: 'warning',
        message: expect.stringMatching(/^1 entry in quarantine/),
      });
      expect(after.code).toBe(0);
    });
  });

  test('a lock of a recovery at work is no fault', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'log.jsonl');
      const log = fileContingency({ path });
      await log.append([{ kind: 'session.rollback_requested', sessionId: 's-1', at: Date.now() }]);
      const sealed = await sealOf(log);
      expect((await on(path)).of('file.lock')).toMatchObject({
        status: 'ok',
        message: `a recovery is at work on it: process ${process.pid}`,
      });
      await sealed.release();
      expect((await on(path)).of('file.lock')).toBeUndefined();
      await log.close();
    });
  });

  test('a disk in memory is a warning', async (context) => {
    await access('/dev/shm').catch(() => context.skip('there is no /dev/shm'));
    const folder = await mkdtemp('/dev/shm/event-sessions-cli-');
    try {
      expect((await on(join(folder, 'log.jsonl'))).of('file.disk')).toMatchObject({
        status: 'warning',
        message: expect.stringContaining('tmpfs'),
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { runMain, withConfig } from './support/run-main.js';

const ESCAPE = '\u001b';

describe('help and version', () => {
  test('the global help names every command, setting and common option, and goes to stdout', async () => {
    const { code, stdout, stderr } = await runMain(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const word of [
      'recover',
      'inspect',
      'doctor',
      'serve',
      '--redis URL',
      '--config PATH',
      '--version',
      '1.2.3',
    ]) {
      expect(stdout).toContain(word);
    }
  });

  test.each([
    ['recover', '--until-done', '130'],
    ['inspect', '--session ID', '1'],
    ['doctor', '--json', '1'],
    ['serve', '--port PORT', '130'],
  ])('the help of %s documents its options and exit codes', async (command, option, code) => {
    const { stdout } = await runMain([command, '--help']);
    expect(stdout).toContain(option);
    expect(stdout).toMatch(new RegExp(`Exit codes:[\\s\\S]*\\b${code} `));
    expect((await runMain(['help', command])).stdout).toBe(stdout);
    expect(await runMain(['-h', command])).toMatchObject({ code: 0, stdout });
  });

  test('the version', async () => {
    for (const args of [['--version'], ['-V'], ['doctor', '--version']]) {
      expect(await runMain(args)).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
    }
  });

  test('without a command the help goes to stderr, and the usage is wrong', async () => {
    const { code, stdout, stderr } = await runMain([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage:');
  });
});

describe('wrong usage is named on stderr, with a suggestion and exit code 2', () => {
  test.each([
    [
      ['recovr'],
      'unknown command "recovr" (did you mean recover?); there are recover, inspect, doctor, serve',
    ],
    [['xyz'], 'unknown command "xyz"; there are recover, inspect, doctor, serve'],
    [['help', 'docter'], 'unknown command "docter" (did you mean doctor?)'],
    [['inspect', '--sesion', 'x'], 'unknown option --sesion (did you mean --session?)'],
    [['doctor', '--dry-run'], 'unknown option --dry-run'],
    [['--redis', 'redis://a', 'inspekt'], 'unknown command "inspekt" (did you mean inspect?)'],
    [['inspect', 's-1'], 'inspect takes no arguments, but was given "s-1"; for a session: --session s-1'],
    [['inspect', '--data'], '--data goes with --session'],
    [['inspect', '--limit', 'x'], '--limit: expected a whole number, got "x"'],
    [['inspect', '--session', 'a b'], '--session: expected an id'],
    [['recover'], 'no store was named: use --redis URL'],
    [['recover', '--redis', 'redis://127.0.0.1:1'], 'no broker was named: use --nsqd HOST:PORT'],
    [['recover', '--timeout', '3s'], '--timeout goes with --until-done'],
    [
      ['recover', '--until-done', '--timeout', '3x'],
      '--timeout: expected a duration such as 30s, 10m or 2h, got "3x"',
    ],
    [['serve', '--port', '65536'], '--port: expected a number from 0 to 65535, got "65536"'],
    [['serve', '--host', '0.0.0.0'], '--host 0.0.0.0 is open to other machines'],
    [['serve'], 'no store was named: use --redis URL'],
    [['recover', '--until-done', '--dry-run'], '--dry-run and --until-done do not go together'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await runMain(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^Try: event-sessions .*--help$/m);
  });
});

test('a password is in no message about its URL', async () => {
  const urls = [
    'redis://u:secret@host:port',
    'http://u:secret@host',
    'redis://u:sec ret@host',
    'redis://u:secret@h\n',
  ];
  for (const command of ['inspect', 'doctor', 'recover', 'serve'])
    for (const url of urls)
      for (const said of [{ args: ['--redis', url] }, { env: { EVENT_SESSIONS_REDIS: url } }]) {
        const { args = [], env = {} } = said;
        const { code, stdout, stderr } = await runMain([command, ...args], { env });
        expect({ code, stdout }, `${command} ${url}`).toEqual({ code: 2, stdout: '' });
        expect(stderr).toMatch(/(--redis|EVENT_SESSIONS_REDIS): expected a redis:/);
        expect(stderr).not.toMatch(/secret|sec ret/);
      }
});

test('what a server says cannot move the cursor or colour the terminal', async () => {
  const reply = `-ERR ${ESCAPE}[2J\u009b31m\r\n`;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const commands = chunk.toString().match(/^\*\d+\r$/gm) ?? [];
      socket.write(reply.repeat(commands.length));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const redis = ['--redis', `redis://127.0.0.1:${(server.address() as AddressInfo).port}`];
  for (const args of [['recover', '--dry-run'], ['inspect', '--session', 's-1'], ['doctor']]) {
    const { stdout, stderr } = await runMain([...args, ...redis]);
    expect(stdout + stderr, args[0]).toContain('\\u001b[2J');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(stdout + stderr, args[0]).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  }
  await new Promise((resolve) => server.close(resolve));
});

describe('asked to end', () => {
  const never = 'new Promise(() => {})';
  const config = `
    const part = { append() {}, seal() {}, backlog() {}, list: () => ${never}, due() {}, close: async () => {}, get: () => ${never}, ping: () => ${never} };
    export default { store: part, file: 'log.jsonl' };`;

  test.each([
    [['doctor'], 'SIGTERM', 143],
    [['inspect', '--session', 's-1'], 'SIGINT', 130],
    [['recover', '--dry-run'], 'SIGTERM', 143],
    [['recover', '--dry-run', '--json'], 'SIGINT', 130],
  ])('%j, which changes nothing, ends on %s with %i', async (args, reason, code) => {
    await withConfig(config, async (cwd) => {
      const controller = new AbortController();
      const ended = runMain(args, { cwd, signal: controller.signal });
      controller.abort(reason);
      expect(await ended).toEqual({ code, stdout: '', stderr: '' });
    });
  });
});

describe('colours', () => {
  test.each([
    ['a terminal', { tty: true }, true],
    ['a terminal with NO_COLOR', { tty: true, env: { NO_COLOR: '1' } }, false],
    ['a terminal with an empty NO_COLOR', { tty: true, env: { NO_COLOR: '' } }, true],
    ['a dumb terminal', { tty: true, env: { TERM: 'dumb' } }, false],
    ['a pipe', {}, false],
  ])('%s', async (_, options, coloured) => {
    const { stdout } = await runMain(['--help'], options);
    expect(stdout.includes(ESCAPE)).toBe(coloured);
  });
});

import { describe, expect, test } from 'vitest';
import { runMain } from './support/run-main.js';

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

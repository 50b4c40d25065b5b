import { describe, expect, test } from 'vitest';
import { type Flags, parseArguments } from '../../src/cli/arguments.js';

const FLAGS: Flags = {
  redis: { type: 'string', value: 'URL', help: '' },
  nsqd: { type: 'string', value: 'HOST:PORT', multiple: true, help: '' },
  'dry-run': { type: 'boolean', help: '' },
  verbose: { type: 'boolean', short: 'v', help: '' },
};

const parse = (...args: string[]) => parseArguments(args, FLAGS);

describe('arguments', () => {
  test('are flags with values, repeated ones, switches, short ones, and the rest', () => {
    expect(
      parse('recover', '--redis', 'redis://a', '--nsqd=a:1', '--nsqd', 'b:2', '--dry-run', '-v', 'x'),
    ).toEqual({
      flags: { redis: 'redis://a', nsqd: ['a:1', 'b:2'], 'dry-run': true, verbose: true },
      positionals: ['recover', 'x'],
    });
  });

  test('after -- are no flags', () => {
    expect(parse('--', '--redis').positionals).toEqual(['--redis']);
  });

  test.each([
    [['--redi', 'x'], 'unknown option --redi (did you mean --redis?)'],
    [['--dryrun'], 'unknown option --dryrun (did you mean --dry-run?)'],
    [['--verb'], 'unknown option --verb (did you mean --verbose?)'],
    [['--something-else'], 'unknown option --something-else'],
    [['-x'], 'unknown option -x'],
    [['--constructor'], 'unknown option --constructor'],
    [['--redis'], '--redis needs a value: --redis URL'],
    [['--redis='], '--redis needs a value: --redis URL'],
    [['--redis', '--dry-run'], '--redis needs a value: --redis URL'],
    [['--redis', 'a', '--redis', 'b'], '--redis was given twice'],
    [['--dry-run=yes'], '--dry-run takes no value'],
  ])('%j: %s', (args, message) => {
    expect(() => parse(...args)).toThrow(expect.objectContaining({ name: 'UsageError', message }));
  });

  test('a value may begin with a dash when it is joined', () => {
    expect(parse('--redis=-x').flags).toEqual({ redis: '-x' });
  });
});

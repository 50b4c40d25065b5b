import { runInNewContext } from 'node:vm';
import { EventSessionsError, isEventSessionsError, type SessionStatus } from 'event-sessions';
import { describe, expect, expectTypeOf, test, vi } from 'vitest';
import { ERROR_CODES, messageOf } from '../../src/core/errors.js';

describe('an error of ours', () => {
  const cause = new Error('connection lost');
  const error = new EventSessionsError(
    'SESSION_NOT_OPEN',
    'no',
    { sessionId: 's-1', status: 'expired' },
    cause,
  );

  test('is an Error with code, facts as fields, cause and stack', () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'EventSessionsError',
      code: 'SESSION_NOT_OPEN',
      message: 'no',
      sessionId: 's-1',
      status: 'expired',
      cause,
    });
    expect(error.stack).toContain('errors.test.ts');
  });

  test('has no cause when there is none', () => {
    expect('cause' in new EventSessionsError('CLOSED', 'no')).toBe(false);
  });
});

describe('isEventSessionsError', () => {
  test('tells codes apart', () => {
    for (const code of ERROR_CODES) {
      const error = new EventSessionsError(code, 'no');
      expect(isEventSessionsError(error)).toBe(true);
      for (const other of ERROR_CODES) expect(isEventSessionsError(error, other)).toBe(other === code);
    }
  });

  test('tells the compiler which facts go with a code', () => {
    const error: unknown = new EventSessionsError('SESSION_NOT_OPEN', 'no', {
      sessionId: 's-1',
      status: 'expired',
    });
    if (!isEventSessionsError(error)) throw error;
    expectTypeOf(error.status).toEqualTypeOf<SessionStatus | undefined>();
    if (error.code === 'SESSION_NOT_OPEN') expectTypeOf(error.status).toEqualTypeOf<SessionStatus>();
    if (isEventSessionsError(error, 'COMMIT_IN_PROGRESS')) {
      expectTypeOf(error.retryAfterMs).toEqualTypeOf<number>();
      expectTypeOf(error.code).toEqualTypeOf<'COMMIT_IN_PROGRESS'>();
    }
    expectTypeOf(error).toExtend<EventSessionsError>();
  });

  test('knows an error of another copy of the class', async () => {
    vi.resetModules();
    const copy = await import('../../src/core/errors.js');
    expect(copy.EventSessionsError).not.toBe(EventSessionsError);
    const error = new copy.EventSessionsError('CLOSED', 'no');
    expect(error).not.toBeInstanceOf(EventSessionsError);
    expect(isEventSessionsError(error, 'CLOSED')).toBe(true);
    expect(isEventSessionsError(error, 'INVALID_INPUT')).toBe(false);
    expect(copy.isEventSessionsError(new EventSessionsError('CLOSED', 'no'), 'CLOSED')).toBe(true);
  });

  test('knows an error of another realm', () => {
    const error: unknown = runInNewContext(
      "Object.assign(new Error('no'), { name: 'EventSessionsError', code: 'CLOSED' })",
    );
    expect(error).not.toBeInstanceOf(Error);
    expect(isEventSessionsError(error, 'CLOSED')).toBe(true);
  });

  test.each<[string, unknown]>([
    ['another error', new Error('no')],
    ['another error with such a code', Object.assign(new Error('no'), { code: 'CLOSED' })],
    [
      'such a name with a code of somebody else',
      Object.assign(new Error(), { name: 'EventSessionsError', code: 'X' }),
    ],
    [
      'one that throws when it is looked at',
      Object.defineProperty(new Error(), 'name', {
        get() {
          throw new Error('no');
        },
      }),
    ],
    ['a plain object', { name: 'EventSessionsError', code: 'CLOSED' }],
    ['text', 'CLOSED'],
    ['null', null],
    ['undefined', undefined],
  ])('does not take %s for one', (_, value) => {
    expect(isEventSessionsError(value)).toBe(false);
  });
});

describe('messageOf', () => {
  test.each<[unknown, string]>([
    [new Error('no'), 'no'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [Symbol('s'), 'Symbol(s)'],
    [5n, '5'],
  ])('of %o', (value, expected) => expect(messageOf(value)).toBe(expected));

  test.each<[string, unknown]>([
    ['an object without a prototype', Object.create(null)],
    [
      'an object whose toString throws',
      {
        toString() {
          throw new Error('no');
        },
      },
    ],
  ])('answers text for %s, whatever was thrown', (_, value) => {
    expect(typeof messageOf(value)).toBe('string');
  });
});

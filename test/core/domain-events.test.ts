import { expect, test } from 'vitest';
import { createDomainEvents, type DomainEvent } from '../../src/core/domain-events.js';
import { silentLogger } from '../../src/core/safe-logger.js';
import type { LogContext, Logger } from '../../src/ports/logger.js';

function setUp() {
  const errors: { message: string; context: LogContext | undefined }[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: (message, context) => errors.push({ message, context }),
  };
  return { events: createDomainEvents('instance-1', logger), errors };
}

const started = (sessionId: string) => ({ sessionId, deferred: false });

test('a listener gets the payload with type, time and instance', () => {
  const { events } = setUp();
  const heard: DomainEvent[] = [];
  events.on('session.started', (event) => heard.push(event));
  const before = Date.now();
  events.emit('session.started', started('s-1'));
  expect(heard).toEqual([
    {
      type: 'session.started',
      instanceId: 'instance-1',
      at: expect.any(Number),
      sessionId: 's-1',
      deferred: false,
    },
  ]);
  expect(heard[0]?.at).toBeGreaterThanOrEqual(before);
});

test('listeners are called in the order they came, each for its type only', () => {
  const { events } = setUp();
  const calls: string[] = [];
  events.on('session.started', () => calls.push('first'));
  events.on('session.expired', () => calls.push('other'));
  events.on('session.started', () => calls.push('second'));
  events.emit('session.started', started('s-1'));
  expect(calls).toEqual(['first', 'second']);
});

test('a listener cannot change what those behind it hear', () => {
  const { events, errors } = setUp();
  const heard: string[] = [];
  events.on('session.started', (event) => Object.assign(event, { sessionId: 'another' }));
  events.on('*', (event) => event.type === 'session.started' && heard.push(event.sessionId));
  events.emit('session.started', started('s-1'));
  expect(heard).toEqual(['s-1']);
  expect(errors).toHaveLength(1);
});

test('a listener that throws is logged, and the ones behind it are called', () => {
  const { events, errors } = setUp();
  const boom = new Error('boom');
  const heard: string[] = [];
  events.on('session.started', () => {
    throw boom;
  });
  events.on('session.started', ({ sessionId }) => heard.push(sessionId));
  events.emit('session.started', started('s-1'));
  events.emit('session.started', started('s-2'));
  expect(heard).toEqual(['s-1', 's-2']);
  expect(errors).toHaveLength(2);
  expect(errors[0]).toMatchObject({
    message: 'A listener of a domain event failed',
    context: { type: 'session.started' },
  });
});

test('a listener that rejects is logged, and leaves no unhandled rejection', async () => {
  const { events, errors } = setUp();
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  events.on('session.started', async () => {
    throw new Error('boom');
  });
  events.once('session.started', () => Promise.reject(new Error('boom')));
  events.emit('session.started', started('s-1'));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onUnhandled);
  expect(errors).toHaveLength(2);
  expect(unhandled).toEqual([]);
});

test('once is once, also when the listener throws', () => {
  const { events, errors } = setUp();
  let calls = 0;
  events.once('session.started', () => {
    calls += 1;
    throw new Error('boom');
  });
  events.emit('session.started', started('s-1'));
  events.emit('session.started', started('s-2'));
  expect(calls).toBe(1);
  expect(errors).toHaveLength(1);
});

test('off takes a listener away, however it came, and no other', () => {
  const { events } = setUp();
  const calls: string[] = [];
  const on = () => calls.push('on');
  const once = () => calls.push('once');
  const other = () => calls.push('other');
  events.on('session.started', on);
  events.once('session.started', once);
  events.on('session.started', other);
  events.on('session.expired', on);
  events.off('session.started', on);
  events.off('session.started', once);
  events.off('session.started', () => {});
  events.emit('session.started', started('s-1'));
  events.emit('session.expired', { sessionId: 's-1', discarded: 0 });
  expect(calls).toEqual(['other', 'on']);
});

test('a listener may take itself away, or add another, while it is called', () => {
  const { events } = setUp();
  const calls: string[] = [];
  const first = () => {
    calls.push('first');
    events.off('session.started', first);
    events.on('session.started', () => calls.push('added'));
  };
  events.on('session.started', first);
  events.on('session.started', () => calls.push('second'));
  events.emit('session.started', started('s-1'));
  expect(calls.slice(0, 2)).toEqual(['first', 'second']);
  calls.length = 0;
  events.emit('session.started', started('s-2'));
  expect(calls).toEqual(['second', 'added']);
});

test('* gets every event of every type, behind the listeners of the type', () => {
  const { events } = setUp();
  const heard: string[] = [];
  const all = (event: DomainEvent) => heard.push(`all: ${event.type}`);
  events.on('*', all);
  events.on('session.started', () => heard.push('one'));
  events.emit('session.started', started('s-1'));
  events.emit('session.expired', { sessionId: 's-1', discarded: 0 });
  events.off('*', all);
  events.emit('session.expired', { sessionId: 's-1', discarded: 0 });
  events.once('*', all);
  events.emit('session.started', started('s-2'));
  events.emit('session.started', started('s-3'));
  expect(heard).toEqual([
    'one',
    'all: session.started',
    'all: session.expired',
    'one',
    'all: session.started',
    'one',
  ]);
});

test('G8: a listener of * that throws or rejects is logged, and harms nobody', async () => {
  const { events, errors } = setUp();
  const heard: string[] = [];
  events.on('*', () => {
    throw new Error('boom');
  });
  events.on('*', () => Promise.reject(new Error('boom')));
  events.on('*', ({ type }) => heard.push(type));
  events.emit('session.started', started('s-1'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual(['session.started']);
  expect(errors).toHaveLength(2);
});

test('has tells whether anybody listens', () => {
  const { events } = setUp();
  const listener = () => {};
  expect(events.has('session.started')).toBe(false);
  events.on('session.started', listener);
  expect([events.has('session.started'), events.has('session.expired')]).toEqual([true, false]);
  events.off('session.started', listener);
  expect(events.has('session.started')).toBe(false);
  events.on('*', listener);
  expect([events.has('session.started'), events.has('session.expired')]).toEqual([true, true]);
});

test.each(['on', 'once', 'off'] as const)(
  '%s refuses a type that there is not, and what is no function',
  (act) => {
    const events = createDomainEvents('i-1', silentLogger);
    expect(() => events[act]('session.comitted' as 'session.committed', () => {})).toThrow(
      expect.objectContaining({
        code: 'INVALID_INPUT',
        message: expect.stringMatching(/session\.committed/),
      }),
    );
    expect(() => events[act]('session.committed', undefined as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringMatching(/a function/) }),
    );
  },
);

import { Writable } from 'node:stream';
import { createEventSessions, type Logger, pinoLogger } from 'event-sessions';
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import winston from 'winston';
import { loggerOf, safeLogger } from '../../src/core/safe-logger.js';
import { waitFor } from '../support/wait-for.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** A stream, and the JSON lines written to it. */
function lines(): { stream: Writable; written: Record<string, unknown>[] } {
  const written: Record<string, unknown>[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).split('\n')) if (line !== '') written.push(JSON.parse(line));
      done();
    },
  });
  return { stream, written };
}

/** Real loggers, as a user would hand them over. */
const real: Record<string, () => { logger: Logger; written: Record<string, unknown>[]; text: string }> = {
  winston() {
    const { stream, written } = lines();
    const logger = winston.createLogger({
      level: 'debug',
      transports: [new winston.transports.Stream({ stream })],
    });
    return { logger, written, text: 'message' };
  },
  pino() {
    const { stream, written } = lines();
    return { logger: pinoLogger(pino({ level: 'debug' }, stream)), written, text: 'msg' };
  },
};

describe.each(Object.entries(real))('%s', (_, make) => {
  test('fits: message and context come through at each level', async () => {
    const { logger, written, text } = make();
    for (const level of LEVELS) safeLogger(logger)[level](`at ${level}`, { sessionId: 's-1', events: 3 });
    safeLogger(logger).info('alone');
    await waitFor(() => expect(written).toHaveLength(5));
    for (const [i, level] of LEVELS.entries())
      expect(written[i]).toMatchObject({ [text]: `at ${level}`, sessionId: 's-1', events: 3 });
    expect(written[4]).toMatchObject({ [text]: 'alone' });
  });

  test('tells of a commit with its session, and never of data or metadata', async () => {
    const { logger, written, text } = make();
    await using sessions = createEventSessions({ logger, recovery: false });
    const session = await sessions.startSession({ metadata: { user: 'secret-1' } });
    await session.add('order.placed', { card: 'secret-2' });
    await session.commit();
    await waitFor(() => expect(written.some((line) => line[text] === 'Session committed')).toBe(true));
    for (const line of written) expect(line).toMatchObject({ sessionId: session.id });
    expect(JSON.stringify(written)).not.toContain('secret');
  });

  test('tells what a listener threw', async () => {
    const { logger, written } = make();
    await using sessions = createEventSessions({ logger, recovery: false });
    sessions.on('session.started', () => {
      throw new Error('the listener is broken');
    });
    await sessions.startSession();
    await waitFor(() => expect(written).toHaveLength(1));
    expect(JSON.stringify(written)).toContain('the listener is broken');
  });
});

describe('a logger that misbehaves', () => {
  test('by throwing or rejecting harms nobody', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    const throwing = () => {
      throw new Error('disk full');
    };
    const rejecting = () => Promise.reject(new Error('disk full'));
    const safe = safeLogger({ debug: throwing, info: rejecting, warn: throwing, error: rejecting });
    for (const level of LEVELS) expect(safe[level]('hello')).toBeUndefined();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });

  test('fails no start, add, commit or rollback', async () => {
    const broken = () => {
      throw new Error('disk full');
    };
    const logger = { debug: broken, info: broken, warn: broken, error: broken };
    await using sessions = createEventSessions({ logger, recovery: false });
    sessions.on('event.added', broken);
    const session = await sessions.startSession();
    await session.add('a', 1);
    expect(await session.commit()).toMatchObject({ status: 'committed', published: 1 });
    const other = await sessions.startSession();
    expect(await other.rollback()).toMatchObject({ status: 'rolled_back' });
  });

  test('keeps its this', () => {
    class Collecting implements Logger {
      readonly messages: string[] = [];
      debug(message: string) {
        this.messages.push(message);
      }
      info = this.debug;
      warn = this.debug;
      error(message: string) {
        this.messages.push(message);
      }
    }
    const logger = new Collecting();
    const safe = safeLogger(logger);
    safe.debug('a');
    safe.error('b');
    expect(logger.messages).toEqual(['a', 'b']);
  });
});

test.each([undefined, null, {}, { info() {} }])('pinoLogger(%o) is refused, and not silent', (pino) => {
  expect(() => pinoLogger(pino as never)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
});

describe('without a logger', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('warnings and errors go to the console, marked as ours, and nothing else', () => {
    const spies = (['debug', 'info', 'log', 'warn', 'error'] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation(() => {}),
    );
    for (const level of LEVELS) loggerOf(undefined)[level](`at ${level}`, { sessionId: 's-1' });
    expect(spies.map(({ mock }) => mock.calls)).toEqual([
      [],
      [],
      [],
      [['[event-sessions] at warn', { sessionId: 's-1' }]],
      [['[event-sessions] at error', { sessionId: 's-1' }]],
    ]);
  });

  test('false says nothing at all', () => {
    const spies = (['warn', 'error', 'log'] as const).map((method) => vi.spyOn(console, method));
    for (const level of LEVELS) loggerOf(false)[level]('hello');
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });
});

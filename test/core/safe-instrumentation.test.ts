import { createEventSessions } from 'event-sessions';
import { expect, test } from 'vitest';
import { safeInstrumentation } from '../../src/core/safe-instrumentation.js';
import { silentLogger } from '../../src/core/safe-logger.js';
import type { Instrumentation, Operation } from '../../src/ports/instrumentation.js';

function setUp(instrumentation: Instrumentation) {
  const errors: unknown[] = [];
  const logger = { ...silentLogger, error: (_: string, context?: object) => errors.push(context) };
  const { observed, traceContext } = safeInstrumentation(instrumentation, logger);
  let runs = 0;
  const recover = (call: () => Promise<string>) =>
    observed(
      () => {
        runs += 1;
        return call();
      },
      (): Operation => ({ name: 'recover' }),
    );
  return { recover, traceContext, errors, runs: () => runs };
}

const succeed = async () => 'done';
const boom = new Error('boom');
const fail = () => Promise.reject(boom);
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** What a guest of a guest may do wrong. The first three do nothing wrong. */
const all: Record<string, { readonly observe: Instrumentation['observe']; readonly told: number }> = {
  'waits for the end': { observe: (_, run) => run().finally(() => {}), told: 0 },
  'runs it and looks away': { observe: (_, run) => void run(), told: 0 },
  'runs it twice': { observe: (_, run) => Promise.all([run(), run()]), told: 0 },
  'never runs it': { observe() {}, told: 0 },
  'never ends': { observe: () => new Promise(() => {}), told: 0 },
  'runs it late': { observe: (_, run) => settled().then(run), told: 0 },
  'throws before': {
    observe() {
      throw new Error('broken');
    },
    told: 1,
  },
  'throws behind': {
    observe(_, run) {
      run().catch(() => {});
      throw new Error('broken');
    },
    told: 1,
  },
  'rejects behind': {
    async observe(_, run) {
      await run().catch(() => {});
      throw new Error('broken');
    },
    told: 1,
  },
  'answers something else': { observe: async () => 'other', told: 0 },
};

test.each(Object.entries(all))(
  'G8: an instrumentation that %s changes nothing',
  async (_, { observe, told }) => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    const { recover, errors, runs } = setUp({ observe });
    expect(await recover(succeed)()).toBe('done');
    await expect(recover(fail)()).rejects.toBe(boom);
    await settled();
    await settled();
    process.off('unhandledRejection', onUnhandled);
    expect(runs()).toBe(2);
    expect(unhandled).toEqual([]);
    expect(errors).toEqual(Array.from({ length: 2 * told }, () => ({ cause: 'broken' })));
  },
);

test('a call that throws at once rejects, as it does unobserved', async () => {
  const { recover } = setUp({ observe: (_, run) => run() });
  const thrown = recover(() => {
    throw boom;
  });
  await expect(thrown()).rejects.toBe(boom);
});

test('without an instrumentation the call is the call itself', () => {
  const { observed, traceContext } = safeInstrumentation(undefined, silentLogger);
  expect(observed(succeed, () => ({ name: 'recover' }))).toBe(succeed);
  expect(traceContext).toBeUndefined();
});

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test.each([
  [{ traceparent }, true],
  [{ traceparent, tracestate: 'vendor=1,other=2' }, true],
  [undefined, true],
  [{ traceparent: 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }, false],
  [{ traceparent: `${traceparent}","data":{}` }, false],
  [{ traceparent, tracestate: 'x'.repeat(513) }, false],
  [{ traceparent, tracestate: 'a=1\n' }, false],
  [{}, false],
  [null, false],
  ['trace', false],
])('the trace context %j is taken: %s', (answer, isTaken) => {
  const { traceContext, errors } = setUp({ observe() {}, traceContext: () => answer as never });
  expect(traceContext?.()).toEqual(isTaken ? answer : undefined);
  expect(errors).toHaveLength(isTaken ? 0 : 1);
});

test('G8: a broken instrumentation fails no start, add, commit, rollback or recovery', async () => {
  const broken = () => {
    throw new Error('broken');
  };
  const instrumentation = { observe: broken, traceContext: broken };
  await using sessions = createEventSessions({ instrumentation, recovery: false, logger: false });
  const { receipt } = await sessions.transaction((session) => session.add('order.placed', 1));
  expect(receipt).toMatchObject({ status: 'committed', published: 1 });
  const other = await sessions.startSession();
  await other.extend();
  expect(await other.rollback()).toMatchObject({ status: 'rolled_back' });
  expect(await sessions.recover()).toMatchObject({ complete: true });
});

test('an instrumentation sees ids that are ids, and no input', async () => {
  const seen: Operation[] = [];
  const instrumentation: Instrumentation = { observe: (operation) => void seen.push(operation) };
  await using sessions = createEventSessions({ instrumentation, recovery: false, logger: false });
  const hostile = {
    get sessionId() {
      throw new Error('hostile');
    },
  };
  for (const input of [null, 5, { sessionId: 'no id' }, { sessionId: 's-1' }, hostile])
    await sessions.commands.commitSession(input as never).catch(() => {});
  await sessions.startSession();
  const name = 'commitSession';
  expect(seen).toEqual([
    { name, sessionId: undefined },
    { name, sessionId: undefined },
    { name, sessionId: undefined },
    { name, sessionId: 's-1' },
    { name, sessionId: undefined },
    { name: 'startSession', sessionId: undefined },
  ]);
});

import assert from 'node:assert/strict';
import { withoutBytes } from '../contingency/without-bytes.js';
import type {
  ContingencyLog,
  ContingencyRecord,
  QuarantinedEntry,
  SealedEntry,
  SealedRecords,
} from '../ports/contingency-log.js';
import { type ConformanceCase, runOn } from './conformance-case.js';

/** What a case works on: a new, empty log. */
export interface ContingencyLogUnderTest {
  readonly log: ContingencyLog;
  /**
   * Opens another log on the same storage, as another process would; the first one may be open or closed. Leave it out
   * if the storage cannot outlive the log: the cases that need it then check only one log.
   */
  readonly reopen?: (() => Promise<ContingencyLog>) | undefined;
  /** Everything quarantined so far. Without it, the cases check only that nothing of it comes back. */
  readonly quarantined?: (() => Promise<readonly QuarantinedEntry[]>) | undefined;
  /** Called after the case, when the log is closed. */
  readonly dispose?: (() => Promise<void>) | undefined;
}

export interface ContingencyLogCaseOptions {
  /** Makes a log that takes only about so many bytes. Without it, the cases about full logs are left out. */
  readonly makeBounded?: ((maxBytes: number) => Promise<ContingencyLogUnderTest>) | undefined;
}

/**
 * The conformance suite of {@link ContingencyLog}: each rule of the port is a case, which fails by an assertion. `make`
 * is called for each case.
 */
export function contingencyLogCases(
  make: () => Promise<ContingencyLogUnderTest>,
  options: ContingencyLogCaseOptions = {},
): readonly ConformanceCase[] {
  const { makeBounded } = options;
  const bounded = Object.entries(makeBounded === undefined ? {} : BOUNDED_RULES).map(([name, check]) => ({
    name,
    run: () => runOn(() => (makeBounded ?? make)(BOUND_BYTES), logOf, check),
  }));
  return [
    ...Object.entries(RULES).map(([name, check]) => ({ name, run: () => runOn(make, logOf, check) })),
    ...bounded,
  ];
}

type Check = (subject: ContingencyLogUnderTest) => Promise<void>;

const BOUND_BYTES = 64 * 1024;

const logOf = ({ log }: ContingencyLogUnderTest) => log;

const RULES: Readonly<Record<string, Check>> = {
  'an empty log has nothing to seal and no backlog': async ({ log }) => {
    assert.equal(await log.seal(), 'empty');
    assert.deepEqual(await log.backlog(), { records: 0, bytes: 0, oldestAt: undefined });
  },

  'an append of no records changes nothing': async ({ log }) => {
    await log.append([]);
    assert.equal(await log.seal(), 'empty');
  },

  'every kind of record comes back as it was, whatever it contains': async ({ log }) => {
    const records = NASTY_TEXTS.flatMap(everyKind);
    for (const record of records) await log.append([record]);
    assert.deepEqual(await sealAndRead(log), records);
  },

  'optional fields stay absent or present': async ({ log }) => {
    const records: ContingencyRecord[] = [
      { kind: 'session.commit_requested', sessionId: 's', at: 1, attemptId: 'a' },
      { kind: 'session.commit_requested', sessionId: 's', at: 2, attemptId: 'a', expectedEvents: 0 },
      { kind: 'session.rollback_requested', sessionId: 's', at: 3 },
      { kind: 'session.rollback_requested', sessionId: 's', at: 4, reason: '' },
    ];
    await log.append(records);
    assert.deepEqual(await sealAndRead(log), records);
  },

  'records come back in the order in which their appends resolved': async ({ log }) => {
    for (let i = 0; i < 50; i += 1) await log.append([added(`${i}`)]);
    assert.deepEqual(await sealedIds(log), ids(50));
  },

  'records of concurrent appends are all there, those of one append together and in order': async ({
    log,
  }) => {
    const appends = Array.from({ length: 40 }, (_, i) => [added(`${i}-0`), added(`${i}-1`), added(`${i}-2`)]);
    await Promise.all(appends.map((records) => log.append(records)));
    const found = await sealedIds(log);
    assert.equal(found.length, 120);
    for (let i = 0; i < 40; i += 1) {
      const first = found.indexOf(`${i}-0`);
      assert.deepEqual(found.slice(first, first + 3), [`${i}-0`, `${i}-1`, `${i}-2`]);
    }
  },

  'records are taken as they were at the call': async ({ log }) => {
    const records = [{ ...added('before') }];
    const appended = log.append(records);
    for (const record of records) record.event = eventJson('after');
    records.push(added('more'));
    await appended;
    assert.deepEqual(await sealedIds(log), ['before']);
  },

  'a sealed part can be read again, from the first record on': async ({ log }) => {
    await log.append([added('0'), added('1'), added('2')]);
    const sealed = await sealOf(log);
    for await (const _ of sealed.read()) break;
    assert.deepEqual(await read(sealed), await read(sealed));
    assert.equal((await read(sealed)).length, 3);
    await settleAll(sealed);
  },

  'two that read a sealed part at the same time find the same at the same places': async ({ log }) => {
    const records = ids(1_000).map((id) => added(id, 1, 'x'.repeat(1_000)));
    for (let from = 0; from < 1_000; from += 100) await log.append(records.slice(from, from + 100));
    const sealed = await sealOf(log);
    for await (const _ of sealed.read()) break;
    const [one, two] = await Promise.all([entriesOf(sealed), entriesOf(sealed)]);
    assert.deepEqual(
      one.map(({ place }) => place),
      two.map(({ place }) => place),
    );
    const places = [999, 500, 0].map((i) => one[i]?.place ?? -1);
    assert.deepEqual((await sealed.fetch(places, Number.MAX_SAFE_INTEGER)).map(idOf), ['999', '500', '0']);
    assert.deepEqual((await read(sealed)).map(idOf), ids(1_000));
    await settleAll(sealed);
  },

  'appends go on behind a sealed part, which does not change': async ({ log }) => {
    await log.append([added('0')]);
    const sealed = await sealOf(log);
    await log.append([added('1')]);
    assert.deepEqual((await read(sealed)).map(idOf), ['0']);
    await log.append([added('2')]);
    assert.deepEqual((await read(sealed)).map(idOf), ['0']);
    await settleAll(sealed);
    assert.deepEqual(await sealedIds(log), ['1', '2']);
  },

  'one recovery at a time: seal answers busy while a sealed part is worked on': async ({ log, reopen }) => {
    await log.append([added('0')]);
    const sealed = await sealOf(log);
    await log.append([added('1')]);
    assert.equal(await log.seal(), 'busy');
    const second = await reopen?.();
    if (second !== undefined) assert.equal(await second.seal(), 'busy');
    await second?.close();
    await sealed.release();
    assert.deepEqual(await sealedIds(log), ['0', '1']);
  },

  'of seals at the same moment one gets the part': async ({ log }) => {
    await log.append([added('0')]);
    const answers = await Promise.all([log.seal(), log.seal(), log.seal()]);
    const parts = answers.filter((answer) => typeof answer === 'object');
    assert.equal(parts.length, 1);
    assert.equal(answers.filter((answer) => answer === 'busy').length, 2);
    await parts[0]?.release();
  },

  'release gives everything back, in front of what came meanwhile': async ({ log }) => {
    await log.append([added('0'), added('1')]);
    const sealed = await sealOf(log);
    await log.append([added('2')]);
    await sealed.release();
    assert.deepEqual(await sealedIds(log), ['0', '1', '2']);
  },

  'release gives everything back even after half of it was read': async ({ log }) => {
    await log.append([added('0'), added('1'), added('2')]);
    const sealed = await sealOf(log);
    for await (const _ of sealed.read()) break;
    await sealed.release();
    assert.deepEqual(await sealedIds(log), ['0', '1', '2']);
  },

  'release after the end changes nothing': async ({ log }) => {
    await log.append([added('0')]);
    const sealed = await sealOf(log);
    await settleAll(sealed);
    await log.append([added('1')]);
    const next = await sealOf(log);
    await sealed.release();
    assert.equal(await log.seal(), 'busy');
    await next.release();
  },

  'a part that is released twice at the same moment loses nothing': async ({ log }) => {
    for (let round = 0; round < 8; round += 1) {
      await log.append(ids(20).map((id) => added(`${round}-${id}`, 1, 'x'.repeat(2_000))));
      const sealed = await sealOf(log);
      const places = (await entriesOf(sealed)).map(({ place }) => place);
      await sealed.settle(places.slice(0, 15));
      await Promise.all([sealed.release(), sealed.release()]);
      assert.deepEqual(
        await sealedIds(log),
        ids(20)
          .slice(15)
          .map((id) => `${round}-${id}`),
      );
    }
  },

  'what is settled is forgotten': async ({ log }) => {
    await log.append([added('0')]);
    await settleAll(await sealOf(log));
    assert.equal(await log.seal(), 'empty');
    assert.equal((await log.backlog()).records, 0);
  },

  'what is not settled stays, in order, and nothing else, however often': async ({ log }) => {
    await log.append(ids(12).map((id) => added(id)));
    await settleWhere(log, (i) => i % 2 === 0);
    await settleWhere(log, (i) => i < 3);
    assert.deepEqual(await sealedIds(log), ['7', '9', '11']);
  },

  'what is settled is no longer read, also before the end': async ({ log }) => {
    await log.append([added('0'), added('1'), added('2')]);
    const sealed = await sealOf(log);
    const [, second] = await entriesOf(sealed);
    await sealed.settle([second?.place ?? -1]);
    assert.deepEqual((await read(sealed)).map(idOf), ['0', '2']);
    assert.equal((await log.backlog()).records, 2);
    await sealed.release();
  },

  'what has come can be settled while the rest is read': async ({ log }) => {
    const records = ids(600).map((id) => added(id, 1, 'x'.repeat(2_000)));
    for (let from = 0; from < 600; from += 100) await log.append(records.slice(from, from + 100));
    const sealed = await sealOf(log);
    const found: string[] = [];
    for await (const entries of sealed.read()) {
      found.push(...entries.map((entry) => idOf(recordOf(entry))));
      await sealed.settle(entries.map(({ place }) => place));
    }
    assert.deepEqual(found, ids(600));
    assert.deepEqual(await read(sealed), []);
    await sealed.release();
    assert.equal(await log.seal(), 'empty');
  },

  'places are right throughout a part that is read in many pieces': async ({ log }) => {
    const all = ids(3_000);
    for (let from = 0; from < all.length; from += 100)
      await log.append(all.slice(from, from + 100).map((id) => added(id, 1, 'x'.repeat(500))));
    const sealed = await sealOf(log);
    const places: number[] = [];
    for await (const entries of sealed.read()) {
      const from = places.length;
      places.push(...entries.map(({ place }) => place));
      await sealed.settle(places.slice(from).filter((_, i) => (from + i) % 3 === 0));
    }
    for (const i of [1, 1_000, 2_999]) {
      const found = await sealed.fetch([places[i] as number], Number.MAX_SAFE_INTEGER);
      assert.deepEqual(found.map(idOf), [`${i}`]);
    }
    await sealed.release();
    assert.deepEqual(
      await sealedIds(log),
      all.filter((_, i) => i % 3 !== 0),
    );
  },

  'settling nothing, or the same again, changes nothing': async ({ log }) => {
    await log.append([added('0'), added('1')]);
    const sealed = await sealOf(log);
    const [first] = await entriesOf(sealed);
    await sealed.settle([]);
    await sealed.settle([first?.place ?? -1]);
    await sealed.settle([first?.place ?? -1]);
    await sealed.release();
    assert.equal((await log.backlog()).records, 1);
    assert.deepEqual(await sealedIds(log), ['1']);
  },

  'what is left and what was appended meanwhile are both there': async ({ log }) => {
    await log.append([added('0'), added('1')]);
    const sealed = await sealOf(log);
    await log.append([added('2')]);
    const [first] = await entriesOf(sealed);
    await sealed.settle([first?.place ?? -1]);
    await sealed.release();
    assert.deepEqual(await sealedIds(log), ['1', '2']);
  },

  'records are left over many recoveries, each with new ones behind them': async ({ log }) => {
    for (let round = 0; round < 20; round += 1) {
      await log.append([added(`${round}-0`), added(`${round}-1`)]);
      const sealed = await sealOf(log);
      const last = (await entriesOf(sealed)).at(-1);
      await sealed.settle([last?.place ?? -1]);
      await sealed.release();
    }
    assert.deepEqual(
      await sealedIds(log),
      ids(20).map((round) => `${round}-0`),
    );
  },

  'fetch answers the records at places, in the order asked for': async ({ log }) => {
    const records = [...NASTY_TEXTS.flatMap(everyKind), added('last')];
    for (const record of records) await log.append([record]);
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    const order = places.map((_, i) => (i * 7) % places.length);
    const found = await sealed.fetch(
      order.map((i) => places[i] as number),
      Number.MAX_SAFE_INTEGER,
    );
    assert.deepEqual(
      found.map(withoutBytes),
      order.map((i) => records[i]),
    );
    await sealed.release();
  },

  'fetch answers at most so many bytes, but at least one record': async ({ log }) => {
    await log.append(ids(10).map((id) => added(id, 1, 'x'.repeat(1_000))));
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    assert.deepEqual((await sealed.fetch(places, 1)).map(idOf), ['0']);
    const some = (await sealed.fetch(places.slice(1), 5_000)).map(idOf);
    assert.ok(some.length > 1 && some.length < 5, `${some.length} records of 1,000 bytes for 5,000`);
    assert.deepEqual(some, ids(10).slice(1, 1 + some.length));
    assert.deepEqual(await sealed.fetch([], 1), []);
    await sealed.release();
  },

  'fetch answers a beginning: nothing behind a record that is too large': async ({ log }) => {
    await log.append([added('small'), added('large', 1, 'x'.repeat(100_000)), added('behind')]);
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    assert.deepEqual((await sealed.fetch(places, 50_000)).map(idOf), ['small']);
    await sealed.release();
  },

  'quarantined entries do not come back, and are kept for a person': async ({ log, quarantined }) => {
    await log.append([added('0'), added('1'), added('2')]);
    const sealed = await sealOf(log);
    const [first, second] = await entriesOf(sealed);
    await sealed.quarantine([
      { place: first?.place ?? -1, record: added('0'), reason: 'the session is unknown' },
    ]);
    await sealed.quarantine([
      { place: second?.place ?? -1, unreadable: '{"half a line\u2028\n', reason: 'not JSON' },
    ]);
    assert.deepEqual((await read(sealed)).map(idOf), ['2']);
    await sealed.release();
    assert.deepEqual(await sealedIds(log), ['2']);
    const expected: QuarantinedEntry[] = [
      { record: added('0'), reason: 'the session is unknown' },
      { unreadable: '{"half a line\u2028\n', reason: 'not JSON' },
    ];
    if (quarantined === undefined) return;
    const kept = (await quarantined()).map((entry) =>
      'record' in entry ? { ...entry, record: withoutBytes(entry.record) } : entry,
    );
    assert.deepEqual(kept, expected);
  },

  'a released part can no longer be used': async ({ log }) => {
    await log.append([added('0')]);
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    await sealed.release();
    await assert.rejects(read(sealed), hasCode('CONTINGENCY_FAILED'));
    await assert.rejects(sealed.fetch(places, 1), hasCode('CONTINGENCY_FAILED'));
    await assert.rejects(sealed.settle(places), hasCode('CONTINGENCY_FAILED'));
    await assert.rejects(
      sealed.quarantine([{ place: 0, record: added('0'), reason: 'late' }]),
      hasCode('CONTINGENCY_FAILED'),
    );
    assert.deepEqual(await sealedIds(log), ['0']);
  },

  'the backlog counts records, bytes and the oldest, sealed or not': async ({ log }) => {
    await log.append([added('0', 3_000), added('1', 2_000)]);
    const one = await log.backlog();
    assert.equal(one.records, 2);
    assert.equal(one.oldestAt, 2_000);
    assert.ok(one.bytes > 0);
    const sealed = await sealOf(log);
    await log.append([added('2', 4_000)]);
    const two = await log.backlog();
    assert.equal(two.records, 3);
    assert.equal(two.oldestAt, 2_000);
    assert.ok(two.bytes > one.bytes);
    await settleAll(sealed);
    const three = await log.backlog();
    assert.deepEqual({ records: three.records, oldestAt: three.oldestAt }, { records: 1, oldestAt: 4_000 });
    assert.ok(three.bytes < two.bytes, 'what is settled takes no bytes');
  },

  'records survive the log: another one on the same storage finds them': async ({ log, reopen }) => {
    if (reopen === undefined) return;
    await log.append([added('0')]);
    await log.append([added('1')]);
    await log.close();
    await using(await reopen(), async (next) => {
      assert.equal((await next.backlog()).records, 2);
      assert.deepEqual(await sealedIds(next), ['0', '1']);
    });
  },

  'a sealed part that nobody ended is there, whole, after the log was closed': async ({ log, reopen }) => {
    if (reopen === undefined) return;
    await log.append([added('0'), added('1')]);
    await sealOf(log);
    await log.append([added('2')]);
    await log.close();
    await using(await reopen(), async (next) => assert.deepEqual(await sealedIds(next), ['0', '1', '2']));
  },

  'a log that is closed while its part is released loses nothing': async ({ log, reopen }) => {
    if (reopen === undefined) return;
    await log.append(ids(400).map((id) => added(id, 1, 'x'.repeat(2_000))));
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    await sealed.settle(places.filter((_, i) => i % 3 !== 0));
    await Promise.all([sealed.release(), log.close()]);
    await using(await reopen(), async (next) => {
      assert.deepEqual(
        await sealedIds(next),
        ids(400).filter((_, i) => i % 3 === 0),
      );
    });
  },

  'what is settled stays settled, although nobody ended the part': async ({ log, reopen }) => {
    if (reopen === undefined) return;
    await log.append(ids(6).map((id) => added(id)));
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    await sealed.settle(places.slice(0, 2));
    await sealed.settle(places.slice(3, 4));
    await log.append([added('6')]);
    await log.close();
    await using(await reopen(), async (next) => {
      assert.equal((await next.backlog()).records, 4);
      assert.deepEqual(await sealedIds(next), ['2', '4', '5', '6']);
    });
  },

  'ping resolves while the log takes records': async ({ log }) => {
    await log.ping();
    await log.append([added('0')]);
    await log.ping();
  },

  'close waits for appends under way': async ({ log, reopen }) => {
    const appends = Promise.all(ids(20).map((id) => log.append([added(id)])));
    await log.close();
    await appends;
    if (reopen === undefined) return;
    await using(await reopen(), async (next) => assert.deepEqual(await sealedIds(next), ids(20)));
  },

  'after close everything rejects with CLOSED, and close can be repeated': async ({ log }) => {
    await log.append([added('0')]);
    await log.close();
    await log.close();
    await assert.rejects(log.append([added('1')]), hasCode('CLOSED'));
    await assert.rejects(log.seal(), hasCode('CLOSED'));
    await assert.rejects(log.backlog(), hasCode('CLOSED'));
    await assert.rejects(log.ping(), hasCode('CLOSED'));
  },

  'close releases a sealed part, which can no longer be used': async ({ log, reopen }) => {
    await log.append([added('0')]);
    const sealed = await sealOf(log);
    const places = (await entriesOf(sealed)).map(({ place }) => place);
    await log.close();
    await assert.rejects(read(sealed), hasCode('CONTINGENCY_FAILED'));
    await assert.rejects(sealed.fetch(places, 1), hasCode('CONTINGENCY_FAILED'));
    await assert.rejects(sealed.settle(places), hasCode('CONTINGENCY_FAILED'));
    await sealed.release();
    if (reopen === undefined) return;
    await using(await reopen(), async (next) => assert.deepEqual(await sealedIds(next), ['0']));
  },
};

const BOUNDED_RULES: Readonly<Record<string, Check>> = {
  'a full log rejects with CONTINGENCY_FAILED, keeps what it has, and takes more after recovery': async ({
    log,
  }) => {
    const accepted: string[] = [];
    const filling = async () => {
      for (const id of ids(200)) {
        await log.append([added(id, 1, 'x'.repeat(1024))]);
        accepted.push(id);
      }
    };
    await assert.rejects(filling(), hasCode('CONTINGENCY_FAILED'));
    assert.ok(accepted.length > 0);
    assert.deepEqual(await sealedIds(log), accepted);
    await log.append([added('later')]);
    assert.deepEqual(await sealedIds(log), ['later']);
  },

  'of an append that does not fit, nothing is there': async ({ log }) => {
    await log.append([added('0')]);
    const tooMuch = ids(200).map((id) => added(`big-${id}`, 1, 'x'.repeat(1024)));
    await assert.rejects(log.append(tooMuch), hasCode('CONTINGENCY_FAILED'));
    await log.append([added('1')]);
    assert.deepEqual(await sealedIds(log), ['0', '1']);
  },
};

const NASTY_TEXTS = [
  'plain',
  'quotes " \\" back\\slash \\u0000 and ,"event":{},"metadata":{},"crc":"00000000"}',
  'line\nfeed\r\nreturn\u2028separator\u2029paragraph\u0085\u0000\u007f\ufeff',
  'Grüße, 日本語, العربية, 👩‍👩‍👧‍👦 🇧🇷, lone surrogate \ud800',
  'é'.repeat(50_000),
];

function everyKind(text: string): ContingencyRecord[] {
  const event = eventJson('e-1', text);
  return [
    {
      kind: 'session.started',
      sessionId: 's_1-A',
      at: 1,
      metadata: JSON.stringify({ [text]: text }),
      ttlMs: 86_400_000,
    },
    { kind: 'event.added', sessionId: 's_1-A', at: 2, topic: 'order.placed', event },
    { kind: 'session.commit_requested', sessionId: 's_1-A', at: 3, attemptId: 'a_1-Z', expectedEvents: 7 },
    { kind: 'session.commit_requested', sessionId: 's_1-A', at: 3, attemptId: 'a_1-Z', begun: true },
    { kind: 'session.rollback_requested', sessionId: 's_1-A', at: 4, reason: text },
    {
      kind: 'event.unpublished',
      sessionId: 's_1-A',
      at: 1_767_225_600_123,
      topic: 't#ephemeral',
      sequence: 100_000,
      outcome: 'unknown',
      event,
    },
    { kind: 'event.unpublished', sessionId: 's_1-A', at: 5, topic: 't', sequence: 1, event },
    {
      kind: 'event.unpublished',
      sessionId: 's_1-A',
      at: 6,
      topic: 't',
      sequence: 2,
      outcome: 'refused',
      event,
    },
  ];
}

function eventJson(id: string, text = ''): string {
  // An extension with a number as its name would move if the text were parsed and written again.
  return `{"specversion":"1.0","id":"${id}","10":"x","datacontenttype":"application/json","data":${JSON.stringify({ text })}}`;
}

function added(id: string, at = 1, text = ''): ContingencyRecord & { event: string } {
  return { kind: 'event.added', sessionId: 's-1', at, topic: 'order.placed', event: eventJson(id, text) };
}

function idOf(record: ContingencyRecord): string {
  return 'event' in record ? (JSON.parse(record.event) as { id: string }).id : record.kind;
}

const ids = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

async function sealOf(log: ContingencyLog): Promise<SealedRecords> {
  const sealed = await log.seal();
  assert.ok(typeof sealed === 'object', `seal() answered ${sealed} although there are records`);
  return sealed;
}

async function entriesOf(sealed: SealedRecords): Promise<SealedEntry[]> {
  const entries: SealedEntry[] = [];
  for await (const some of sealed.read()) entries.push(...some);
  return entries;
}

async function read(sealed: SealedRecords): Promise<ContingencyRecord[]> {
  return (await entriesOf(sealed)).map(recordOf);
}

async function settleAll(sealed: SealedRecords): Promise<void> {
  await sealed.settle((await entriesOf(sealed)).map(({ place }) => place));
  await sealed.release();
}

/** Settles those of all that can be sealed now whose number, from 0, is chosen. */
async function settleWhere(log: ContingencyLog, chosen: (i: number) => boolean): Promise<void> {
  const sealed = await sealOf(log);
  const places = (await entriesOf(sealed)).map(({ place }) => place);
  await sealed.settle(places.filter((_, i) => chosen(i)));
  await sealed.release();
}

function recordOf(entry: SealedEntry): ContingencyRecord {
  assert.ok('record' in entry, `unreadable: ${'reason' in entry ? entry.reason : ''}`);
  return withoutBytes(entry.record);
}

async function sealAndRead(log: ContingencyLog): Promise<ContingencyRecord[]> {
  const sealed = await sealOf(log);
  const records = await read(sealed);
  await settleAll(sealed);
  return records;
}

async function sealedIds(log: ContingencyLog): Promise<string[]> {
  return (await sealAndRead(log)).map(idOf);
}

async function using(log: ContingencyLog, check: (log: ContingencyLog) => Promise<void>): Promise<void> {
  try {
    await check(log);
  } finally {
    await log.close();
  }
}

/** By the field alone: adapters of others may carry their own copy of the error class. */
const hasCode = (code: string) => (error: unknown) => (error as { code?: unknown }).code === code;

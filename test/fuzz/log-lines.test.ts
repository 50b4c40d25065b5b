import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEventSessions, memoryPublisher, memoryStore } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { expect, it } from 'vitest';
import { withChecksum } from '../../src/adapters/file/checksum.js';
import { MAX_LINE_BYTES } from '../../src/adapters/file/lines.js';
import { openLogSnapshot } from '../../src/adapters/file/log-reader.js';
import { readQuarantine } from '../../src/adapters/file/quarantine-reader.js';
import { encodeRecord } from '../../src/adapters/file/record-line.js';
import { eventIdOf } from '../../src/core/event.js';
import type { ContingencyRecord } from '../../src/ports/contingency-log.js';
import { type Chance, fuzz } from './support/fuzz.js';
import { type Make, text } from './support/hostile.js';

const SECONDS = 10;
const GOOD = 's-1';

const envelope = (id: string, data = '{"n":1}') =>
  `{"specversion":"1.0","id":"${id}","source":"/fuzz","type":"t","time":"2026-01-01T00:00:00Z","sessionid":"${GOOD}","datacontenttype":"application/json","data":${data}}`;

function goodRecord(id: string, chance: Chance): ContingencyRecord {
  const data = chance.pick(['{"n":1}', '"é 日本 🙂"', '"},\\"crc\\":\\"00000000\\"}"', '"\\u0000"', '[[]]']);
  return { kind: 'event.added', sessionId: GOOD, at: 1, topic: 't', event: envelope(id, data) };
}

/** One append of one record or several, as it is written. */
function goodAppend(ids: readonly string[], chance: Chance): Buffer {
  return Buffer.concat(ids.map((id, i) => encodeRecord(goodRecord(id, chance), i + 1, ids.length)));
}

const KINDS = [
  'session.started',
  'event.added',
  'session.commit_requested',
  'session.rollback_requested',
  'event.unpublished',
];

/** What stands in a field of a record, as JSON. */
const json: Make<string> = (chance) =>
  chance.pick<() => string>([
    () => JSON.stringify(text(chance)),
    () =>
      chance.pick([
        '0',
        '-1',
        '1.5',
        '1',
        '2',
        '-0',
        '1e308',
        '1e999',
        '9007199254740993',
        '9007199254740991',
      ]),
    () => chance.pick(['null', 'true', '[]', '{}', '[1,[2]]', '{"a":{}}', '""', '"\\ud800"', '"\\u0000"']),
    () => envelope(`bad-${chance.below(9)}`),
    () => JSON.stringify(envelope(`bad-${chance.below(9)}`)),
    () => envelope(text(chance)),
    () => '['.repeat(chance.pick([10, 5_000])).padEnd(10_000, ']'),
  ])();

const FIELDS: Readonly<Record<string, Make<string>>> = {
  v: () => '1',
  kind: (chance) => JSON.stringify(chance.pick(KINDS)),
  sessionId: (chance) => `"bad-${chance.below(3)}"`,
  at: () => '1',
  part: (chance) => `${1 + chance.below(3)}`,
  parts: (chance) => chance.pick(['1', '3', '1000000000']),
  topic: () => '"t"',
  sequence: (chance) => `${chance.below(4)}`,
  outcome: (chance) => chance.pick(['"unknown"', '"refused"', 'null']),
  ttlMs: () => '60000',
  attemptId: () => '"a-1"',
  begun: (chance) => chance.pick(['true', 'false']),
  expectedEvents: (chance) => `${chance.below(3)}`,
  reason: () => '"r"',
  metadata: () => '{"a":1}',
  event: (chance) => envelope(`bad-${chance.below(9)}`),
};

/**
 * A record with some fields as they should be, some as they should not, some missing, in any order, some twice. But with a
 * right checksum, an event stands last: what is embedded is then taken as it is (see record-line.ts).
 */
function mutatedLine(chance: Chance): string {
  const isIntact = chance.happens(0.8);
  let names = Object.keys(FIELDS).filter((name) =>
    chance.happens(['part', 'parts'].includes(name) ? 0.1 : 0.9),
  );
  if (chance.happens(0.2)) names.sort(() => chance.below(3) - 1);
  if (chance.happens(0.2)) names.push(chance.pick(Object.keys(FIELDS)));
  if (isIntact && names.includes('event')) names = [...names.filter((name) => name !== 'event'), 'event'];
  const members = names.map((name) => {
    const make = chance.happens(0.9) ? (FIELDS[name] as Make<string>) : json;
    return `${JSON.stringify(chance.happens(0.97) ? name : text(chance))}:${make(chance)}`;
  });
  const object = `{${members.join(',')}}`;
  return isIntact ? withChecksum(object) : `${object.slice(0, -1)},"crc":"0123abcd"}`;
}

/** What stands where a log keeps its own affairs. */
function mutatedHead(chance: Chance): string {
  const replaces = chance.happens(0.5) ? json(chance) : JSON.stringify(['../x', 'y.sealed', '']);
  const broken = chance.happens(0.2) ? ',' : '';
  return withChecksum(`{"v":1,"kind":"log.merged",${broken}"replaces":${replaces}}`);
}

const RUNS = [
  '[5,2]',
  '[0.5,1.5]',
  '[-9,-1]',
  '[1]',
  '[0,1,2]',
  '"0"',
  'null',
  '{}',
  '[null,0]',
  '[0,1e999]',
];

/** A file of settled lines that settles nothing. */
function mutatedSettled(chance: Chance): string {
  const lines = chance.some(5, () =>
    chance.pick<() => string>([
      () => withChecksum(`{"settled":[${chance.some(4, () => chance.pick(RUNS)).join(',')}]}`),
      () => withChecksum(`{"settled":${chance.pick(['0', 'null', '"x"', '{}', '[[]]', 'x'])}}`),
      () => '{"settled":[[0,999]],"crc":"00000000"}',
      () => text(chance),
    ])(),
  );
  return lines.join('\n');
}

/** Anything that may stand between good lines; with or without a newline around it. */
const junk: Make<Buffer> = (chance) => {
  const line = chance.pick<() => string | Buffer>([
    () => mutatedLine(chance),
    () => mutatedLine(chance),
    () => mutatedLine(chance),
    () => mutatedHead(chance),
    () => Buffer.from(chance.some(200, () => chance.below(256))),
    () => text(chance),
    () => json(chance),
    () => Buffer.alloc(chance.below(5_000)),
    () => encodeRecord(goodRecord('torn', chance)).subarray(0, chance.below(120)),
    () => '{"v":1,"kind":"event.added","sessionId":"s-1"',
    () => withChecksum('{"v":2,"kind":"event.added","sessionId":"s-1","at":1}'),
    () => '{"a":'.repeat(chance.pick([100, 100_000])),
    () => Buffer.from('{"v":1,"kind":"\xff\xfe"}', 'latin1'),
    () => 'x'.repeat(chance.happens(0.02) ? MAX_LINE_BYTES + chance.below(1_000) : chance.below(100_000)),
  ])();
  const [before, after] = chance.happens(0.9) ? ['\n', '\n'] : [chance.pick(['', '\n', '\r\n']), ''];
  return Buffer.concat([Buffer.from(before), Buffer.from(line), Buffer.from(after)]);
};

it('whatever stands in a log: nothing throws, what is good comes back in order, the rest is quarantined', async () => {
  await fuzz('log lines', SECONDS, async (chance) => {
    const folder = await mkdtemp(join(tmpdir(), 'contingency-fuzz-'));
    const path = join(folder, 'log.jsonl');
    const good: string[] = [];
    const content = () =>
      Buffer.concat(
        chance.some(12, () => {
          if (chance.happens(0.6)) return junk(chance);
          const ids = Array.from({ length: chance.pick([1, 1, 3]) }, (_, i) => `good-${good.length + i}`);
          good.push(...ids);
          const append = goodAppend(ids, chance);
          return chance.happens(0.1) ? Buffer.concat([append, append]) : append;
        }),
      );
    if (chance.happens(0.4)) {
      const sealed = `${path}.000000000001-0123abcd.sealed`;
      await writeFile(sealed, content());
      if (chance.happens(0.5)) await writeFile(`${sealed}.settled`, mutatedSettled(chance));
    }
    await writeFile(path, content());

    const seen: string[] = [];
    const snapshot = await openLogSnapshot(path);
    for await (const entry of snapshot.read()) if ('record' in entry) seen.push(...goodIdOf(entry.record));
    await snapshot.close();
    expect([...new Set(seen)]).toEqual(good);

    const store = memoryStore();
    await store.start({ sessionId: GOOD, metadata: '{}', ttlMs: 1e9, cause: { instance: 'fuzz' } });
    const publisher = memoryPublisher();
    const contingency = fileContingency({ path, fsync: 'never' });
    // Records of sessions that nobody has started are given up at once: they are old.
    const sessions = createEventSessions({
      store,
      publisher,
      contingency,
      ttl: 1,
      recovery: false,
      logger: false,
      commit: { retries: 0 },
    });
    const before = await contingency.backlog();
    for (const number of [before.records, before.bytes, before.oldestAt ?? 0])
      expect(Number.isSafeInteger(number)).toBe(true);
    const report = await recoverAll(sessions);
    for (const number of Object.values(report)) expect(Number(number)).toBeGreaterThanOrEqual(0);
    expect(report).toMatchObject({ remaining: 0, complete: true });
    expect(await contingency.backlog()).toMatchObject({ records: 0 });

    const stored = await store.read(GOOD, { after: 0, limit: 1_000, maxBytes: 1e9 });
    expect(stored.map(({ json: event }) => eventIdOf(event))).toEqual(good);
    for await (const { reason } of readQuarantine(path)) expect(reason).not.toBe('');
    for (const { event } of publisher.published) expect(event.sessionid).toBe(GOOD);
    const { sessions: left } = await sessions.queries.listSessions({ limit: 1_000 });
    for (const { sessionId } of left) await sessions.session(sessionId).status();
    expect(await sessions.session(GOOD).commit()).toMatchObject({ published: good.length });
    await sessions.close();
    await rm(folder, { recursive: true });
  });
});

/** What commits begin with may be owed by the next pass. */
async function recoverAll(sessions: ReturnType<typeof createEventSessions>) {
  let report = await sessions.recover();
  for (let pass = 0; pass < 3 && !report.complete; pass += 1) report = await sessions.recover();
  return report;
}

function goodIdOf(record: ContingencyRecord): string[] {
  return 'event' in record && record.sessionId === GOOD ? [eventIdOf(record.event)] : [];
}

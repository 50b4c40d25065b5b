import { describe, expect, it } from 'vitest';
import { type CheckerSettings, check, type RuleName } from './checker.js';
import { addOf, addReceipt, type SyntheticProcess, TOPIC, type World, world } from './synthetic.js';

const SETTINGS: CheckerSettings = { window: 4, recoveryBatch: 6, smallLogs: ['log-small'] };
const IDS = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6'];

function rulesBroken(it: World): RuleName[] {
  const { violations } = check(it.history, it.observations(), SETTINGS);
  return [...new Set(violations.map(({ rule }) => rule))];
}

/** One session, added to and committed by one process. */
function committed(...ids: string[]): World & { readonly w1: SyntheticProcess } {
  const it = world();
  const w1 = it.process('w1.1');
  w1.start('s');
  for (const id of ids) w1.add('s', id);
  w1.commit('s');
  return { ...it, w1 };
}

describe('a history without a fault', () => {
  it('passes when sessions are committed, rolled back and added to from several processes', () => {
    const it = world();
    const [first, second] = [it.process('w1.1'), it.process('w2.1', 'log-b')];
    first.start('s');
    first.add('s', 'e1', 'e2');
    second.add('s', 'e3');
    first.add('s', 'e4');
    first.commit('s');
    second.start('r');
    second.add('r', 'e1');
    second.rollback('r');
    first.end();
    second.end();
    const { violations, totals } = check(it.history, it.observations(), SETTINGS);
    expect(violations).toEqual([]);
    expect(totals).toMatchObject({
      operations: { all: 8, acknowledged: 8 },
      sessions: { all: 2, committed: 1, rolledBack: 1 },
      events: { acknowledged: 5, consumed: 4 },
      duplicates: 0,
      lost: 0,
    });
  });

  it('passes when an event whose outcome nobody knows is there, and when it is not', () => {
    for (const stored of [true, false]) {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', 'e1');
      process.invoke(addOf('s', ['e2']));
      if (stored) process.store('s', 'e2');
      process.die();
      const next = it.process('w1.2');
      next.commit('s');
      next.end();
      expect(rulesBroken(it)).toEqual([]);
    }
  });

  it('passes when a commit is taken over and what was in flight comes again', () => {
    const it = world();
    const process = it.process('w1.1');
    process.start('s');
    process.add('s', ...IDS);
    process.invoke({ command: 'commit', sessionId: 's' });
    process.begin('s');
    process.publish('s', ['e1', 'e2']);
    process.publish('s', ['e3', 'e4'], 'dead');
    process.die();
    const next = it.process('w2.1');
    next.commit('s');
    expect(rulesBroken(it)).toEqual([]);
    expect(check(it.history, it.observations(), SETTINGS).totals).toMatchObject({ duplicates: 4, deaths: 1 });
  });

  it('passes when events come late, behind the end of a session that was committed without them', () => {
    const it = committed('e1', 'e2');
    it.w1.addDeferred('s', 'e3');
    it.w1.publish('s', ['e3']);
    it.w1.end();
    expect(rulesBroken(it)).toEqual([]);
    expect(check(it.history, it.observations(), SETTINGS).totals.events.late).toBe(1);
  });

  it('passes when a line is torn by a kill, and when a deferred rollback comes second', () => {
    const it = committed('e1');
    const other = it.process('w2.1', 'log-b');
    other.invoke({ command: 'rollback', sessionId: 's' }).ok({
      sessionId: 's',
      status: 'rolled_back',
      discarded: 0,
      deferred: true,
    });
    other.die();
    it.quarantine.push(
      { log: 'log-b', reason: 'not JSON' },
      {
        log: 'log-b',
        reason: 'the session had already ended in another way',
        record: { kind: 'session.rollback_requested', sessionId: 's' },
      },
    );
    expect(rulesBroken(it)).toEqual([]);
    expect(check(it.history, it.observations(), SETTINGS).totals.quarantined).toBe(2);
  });

  it('passes when an end cannot be recorded behind another one that the log has refused, and only then', () => {
    for (const refused of [true, false]) {
      const it = committed('e1');
      const failure = { code: 'CONTINGENCY_FAILED', outcome: 'unknown' } as const;
      if (refused)
        it.w1.invoke({ command: 'commit', sessionId: 's' }).fail({ ...failure, message: 'it is full' });
      it.w1
        .invoke({ command: 'rollback', sessionId: 's' })
        .fail({ ...failure, message: 'it may be committing' });
      it.w1.end();
      const { violations } = check(it.history, it.observations(), { ...SETTINGS, smallLogs: ['log-a'] });
      expect(violations.map(({ rule }) => rule)).toEqual(refused ? [] : ['aborted']);
    }
  });

  it('passes when an event came after its session had run out, and another log renewed it, and only then', () => {
    for (const [ttl, renews] of [
      [1_000, true],
      [1_000, false],
      [undefined, true],
    ] as const) {
      const it = committed('e1');
      const again = { sessionId: 's', status: 'open', created: false, deferred: false } as const;
      it.w1.invoke({ command: 'start', sessionId: 's', ttl }).ok(again);
      const other = it.process('w2.1', 'log-b');
      other.addDeferred('s', 'e2');
      other.end();
      if (renews) it.w1.addDeferred('s', 'e1');
      it.quarantine.push({
        log: 'log-b',
        reason: 'the session expired before this could be brought back',
        record: { kind: 'event.added', sessionId: 's', eventId: 'e2' },
      });
      const explained = ttl !== undefined && renews;
      expect(rulesBroken(it).sort()).toEqual(explained ? [] : ['event lost', 'unexplained quarantine']);
    }
  });

  it('passes when an append is repeated because another process renamed the log meanwhile', () => {
    for (const renamed of [true, false]) {
      const it = committed('e1');
      const other = it.process('w2.1');
      const add = it.w1.invoke(addOf('s', ['e2']));
      const records = [{ kind: 'event.added' as const, sessionId: 's', eventId: 'e2' }];
      it.w1.write({ kind: 'recording', append: 1, records });
      if (renamed) {
        other.write({ kind: 'sealing' });
        other.write({ kind: 'sealed' });
      }
      it.w1.write({ kind: 'recorded', append: 1 });
      add.ok(addReceipt('s', ['e2'], true));
      other.publish('s', ['e2']);
      other.publish('s', ['e2']);
      for (const process of [it.w1, other]) process.end();
      expect(rulesBroken(it)).toEqual(renamed ? [] : ['duplicates beyond the bound']);
    }
  });

  it('passes when a commit fails, or is deferred, beside the attempt of a recovery that the store then stops', () => {
    for (const fails of [true, false]) {
      const it = world();
      const [first, second] = [it.process('w1.1'), it.process('w2.1', 'log-b')];
      first.start('s');
      first.add('s', 'e1', 'e2');
      const commit = first.invoke({ command: 'commit', sessionId: 's' });
      first.begin('s');
      if (fails) commit.fail({ code: 'COMMIT_IN_PROGRESS', message: 'not now', outcome: 'not_done' });
      else
        commit.ok({
          sessionId: 's',
          status: 'committing',
          events: 2,
          published: 0,
          deferred: 0,
          durationMs: 1,
        });
      first.publish('s', ['e1', 'e2']);
      first.write({ kind: 'recovered', failed: false });
      first.end();
      second.commit('s');
      second.end();
      expect(rulesBroken(it)).toEqual([]);
    }
  });

  it('passes when a recovery publishes what is owed beside the commit that owes it, and hears nothing of it', () => {
    const it = world();
    const [first, second] = [it.process('w1.1'), it.process('w2.1')];
    first.start('s');
    first.add('s', ...IDS);
    const commit = first.invoke({ command: 'commit', sessionId: 's' });
    first.begin('s');
    const records = IDS.map((eventId) => ({ kind: 'event.unpublished' as const, sessionId: 's', eventId }));
    first.write({ kind: 'recording', append: 1, records });
    first.write({ kind: 'recorded', append: 1 });
    first.publish('s', IDS, 'taken');
    first.finish('s');
    commit.ok({ sessionId: 's', status: 'committed', events: 6, published: 0, deferred: 6, durationMs: 1 });
    second.publish('s', IDS);
    for (const process of [first, second]) process.end();
    expect(rulesBroken(it)).toEqual([]);
  });

  it('passes when a rollback is deferred while a commit has begun of which its caller heard nothing good', () => {
    for (const begins of [true, false]) {
      const it = world();
      const [first, second] = [it.process('w1.1'), it.process('w2.1', 'log-b')];
      first.start('s');
      first.add('s', 'e1');
      const commit = first.invoke({ command: 'commit', sessionId: 's' });
      if (begins) first.begin('s');
      second
        .invoke({ command: 'rollback', sessionId: 's' })
        .ok({ sessionId: 's', status: 'rolled_back', discarded: 0, deferred: true });
      commit.fail({ code: 'COMMIT_IN_PROGRESS', message: 'not now', outcome: 'not_done' });
      first.publish('s', ['e1']);
      first.finish('s');
      it.quarantine.push({
        log: 'log-b',
        reason: 'the session had already ended in another way',
        record: { kind: 'session.rollback_requested', sessionId: 's' },
      });
      for (const process of [first, second]) process.end();
      expect(rulesBroken(it).includes('end not carried out')).toBe(!begins);
    }
  });

  it('passes when a recovery could mark nothing on a disk that stayed full, and only then', () => {
    for (const fault of ['disk full', 'redis killed']) {
      const it = committed(...Array.from({ length: 20 }, (_, i) => `e${i}`));
      const ids = Array.from({ length: 20 }, (_, i) => `e${i}`);
      const other = it.process('w2.1');
      for (let from = 0; from < ids.length; from += 4) other.publish('s', ids.slice(from, from + 4));
      other.die();
      const at = it.history.at(-1)?.at ?? 0;
      it.w1.write({ kind: 'fault', fault, target: 'log-a', from: 0, until: at });
      it.w1.end();
      expect(rulesBroken(it)).toEqual(fault === 'disk full' ? [] : ['duplicates beyond the bound']);
    }
  });

  it('passes when an event waits in the log of another host', () => {
    const it = overtaken('log-a', 'log-b');
    expect(rulesBroken(it)).toEqual([]);
    expect(check(it.history, it.observations(), SETTINGS).totals.events.overtaken).toBe(1);
  });

  it('passes when an event waits in the log of another host, since that of the first was full', () => {
    expect(rulesBroken(overtaken('log-a', 'log-b', 'log-b'))).toEqual([]);
  });

  it('passes when the log fails while its disk is full, or is as small as was said', () => {
    const failure = { code: 'CONTINGENCY_FAILED', message: 'ENOSPC', outcome: 'not_done' } as const;
    const full = committed('e1');
    const call = full.w1.invoke(addOf('s', ['e9']));
    const at = full.history.at(-1)?.at ?? 0;
    call.fail(failure);
    full.w1.write({ kind: 'fault', fault: 'disk full', target: 'log-a', from: at - 1, until: at + 1 });
    expect(rulesBroken(full)).toEqual([]);

    const small = world();
    const process = small.process('w1.1', 'log-small');
    process.invoke(addOf('s', ['e1'])).fail({ ...failure, message: 'log-small is full: 9 of 10 bytes' });
    expect(rulesBroken(small)).toEqual([]);
  });
});

/** Two events, of which the first waits in a log while the second is published. Another log may have refused the first. */
function overtaken(first: string, second: string, full?: string): World {
  const it = world();
  const [early, next] = [it.process('w1.1', first), it.process('w2.1', second)];
  early.start('s');
  early.add('s', 'e1', 'e2');
  early.invoke({ command: 'commit', sessionId: 's' });
  early.begin('s');
  early.publish('s', ['e1'], 'not_done');
  const records = [{ kind: 'event.unpublished' as const, sessionId: 's', eventId: 'e1' }];
  if (full !== undefined) it.process('w3.1', full).write({ kind: 'recording', append: 1, records });
  early.write({ kind: 'recording', append: 1, records });
  early.write({ kind: 'recorded', append: 1 });
  early.die();
  const commit = next.invoke({ command: 'commit', sessionId: 's' });
  next.begin('s', 1);
  next.publish('s', ['e2']);
  next.finish('s');
  commit.ok({ sessionId: 's', status: 'committed', events: 2, published: 1, deferred: 1, durationMs: 1 });
  const recovery = it.process('w1.2', first);
  recovery.publish('s', ['e1']);
  recovery.end();
  return it;
}

/** What is spoiled, how, the rule that must see it, and the others that it also breaks. */
const SPOILED: Record<string, { spoil: () => World; caught: RuleName; also?: RuleName[] }> = {
  'an acknowledged event that nobody got': {
    spoil() {
      const it = committed();
      it.w1.start('t');
      it.w1.add('t', 'e1', 'e2');
      it.w1.invoke({ command: 'commit', sessionId: 't' });
      it.w1.begin('t');
      it.w1.publish('t', ['e1']);
      it.w1.finish('t');
      return it;
    },
    caught: 'event lost',
  },
  'a deferred event that recovery forgot': {
    spoil() {
      const it = committed('e1');
      it.w1.addDeferred('s', 'e2');
      return it;
    },
    caught: 'event lost',
  },
  'an event that the store was said to have': {
    spoil() {
      const it = committed();
      it.w1.start('r');
      it.w1.invoke(addOf('r', ['e1'])).ok(addReceipt('r', ['e1'], false));
      it.w1.rollback('r');
      return it;
    },
    caught: 'event not in store',
  },
  'a session that is gone': {
    spoil() {
      const it = world();
      it.process('w1.1').start('s');
      it.sessions.delete('s');
      return it;
    },
    caught: 'session lost',
  },
  'a message that nsqd acknowledged and does not have': {
    spoil() {
      const it = committed('e1', 'e2');
      it.messages.pop();
      return it;
    },
    caught: 'lost by the broker',
  },
  'a message that nobody added': {
    spoil() {
      const it = committed('e1');
      const [first] = it.messages;
      if (first !== undefined) it.messages.push({ ...first, id: 'phantom', tag: 'phantom' });
      return it;
    },
    caught: 'unknown event',
  },
  'a message on another topic': {
    spoil() {
      const it = committed('e1');
      const [first] = it.messages;
      if (first !== undefined) it.messages.push({ ...first, topic: 'elsewhere' });
      return it;
    },
    caught: 'unknown event',
  },
  'a message whose data is of another event': {
    spoil() {
      const it = committed('e1', 'e2');
      it.messages.splice(1, 1, { ...(it.messages[1] as (typeof it.messages)[0]), tag: 'e1' });
      return it;
    },
    caught: 'unknown event',
    also: ['lost by the broker'],
  },
  'a published event whose add was refused': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.invoke(addOf('s', ['e1'])).fail({ code: 'SESSION_NOT_OPEN', message: '' });
      process.store('s', 'e1');
      process.commit('s');
      return it;
    },
    caught: 'unknown event',
  },
  'a message before the commit': {
    spoil() {
      const it = committed('e1');
      const [first] = it.messages;
      if (first !== undefined) it.messages[0] = { ...first, timestamp: first.timestamp - 1_000_000_000n };
      return it;
    },
    caught: 'published before commit',
  },
  'a message after a rollback': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', 'e1');
      process.rollback('s');
      process.publish('s', ['e1']);
      return it;
    },
    caught: 'published without commit',
    also: ['published before commit'],
  },
  'a message of a session that has expired': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', 'e1');
      process.publish('s', ['e1']);
      Object.assign(it.sessions.get('s') ?? {}, { status: 'expired' });
      return it;
    },
    caught: 'published without commit',
    also: ['published before commit'],
  },
  'a copy more than there were calls': {
    spoil() {
      const it = committed('e1');
      it.messages.push(...it.messages.slice(0, 1));
      return it;
    },
    caught: 'unexplained copy',
    also: ['duplicates beyond the bound'],
  },
  'an event published twice without an interruption': {
    spoil() {
      const it = committed('e1', 'e2');
      it.w1.publish('s', ['e1']);
      it.w1.end();
      return it;
    },
    caught: 'duplicates beyond the bound',
  },
  'a takeover that publishes everything again': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', ...IDS);
      process.invoke({ command: 'commit', sessionId: 's' });
      process.begin('s');
      for (const id of IDS) process.publish('s', [id]);
      process.die();
      it.process('w2.1').commit('s');
      return it;
    },
    caught: 'duplicates beyond the bound',
  },
  'a recovery that publishes again what it had marked as done': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      for (const sessionId of ['s', 't']) {
        process.start(sessionId);
        process.add(sessionId, `${sessionId}1`);
        process.commit(sessionId);
      }
      process.addDeferred('s', 's2');
      process.addDeferred('t', ...IDS);
      process.publish('s', ['s2']);
      process.publish('t', IDS);
      process.die();
      const next = it.process('w1.2');
      next.publish('s', ['s2']);
      next.publish('t', IDS);
      next.end();
      return it;
    },
    caught: 'duplicates beyond the bound',
  },
  'an event that the store took twice': {
    spoil() {
      const it = committed('e1', 'e2');
      it.sessions.get('s')?.eventIds.push('e1');
      return it;
    },
    caught: 'stored twice',
    also: ['wrong sequence', 'not in order of acceptance', 'dishonest receipt'],
  },
  'two messages in the wrong order': {
    spoil() {
      const it = committed('e1', 'e2');
      const [first, second] = it.messages.map(({ timestamp }) => timestamp);
      it.messages.forEach((message, i) => {
        it.messages[i] = { ...message, timestamp: (i === 0 ? second : first) ?? 0n };
      });
      return it;
    },
    caught: 'out of order',
  },
  'a late event that came before the others': {
    spoil() {
      const it = committed('e1', 'e2');
      it.w1.addDeferred('s', 'e3');
      it.w1.publish('s', ['e3']);
      it.w1.end();
      const [first, second, late] = it.messages.map(({ timestamp }) => timestamp);
      it.messages.forEach((message, i) => {
        it.messages[i] = { ...message, timestamp: [second, late, first][i] ?? 0n };
      });
      return it;
    },
    caught: 'out of order',
  },
  'a message that came before one which waits in the log of its own host': {
    spoil: () => overtaken('log-a', 'log-a'),
    caught: 'out of order',
  },
  'a message with the position of another': {
    spoil() {
      const it = committed('e1', 'e2');
      it.messages.forEach((message, i) => {
        it.messages[i] = { ...message, sequence: 2 - i };
      });
      return it;
    },
    caught: 'wrong sequence',
    also: ['out of order'],
  },
  'events stored in another order than they were acknowledged in': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', 'e1');
      process.add('s', 'e2');
      it.sessions.get('s')?.eventIds.reverse();
      process.commit('s');
      return it;
    },
    caught: 'not in order of acceptance',
  },
  'a session that was committed to one and rolled back to another': {
    spoil() {
      const it = committed('e1');
      it.w1
        .invoke({ command: 'rollback', sessionId: 's' })
        .ok({ sessionId: 's', status: 'rolled_back', discarded: 1, deferred: false });
      return it;
    },
    caught: 'two outcomes',
  },
  'a committed session that is rolled back in the end': {
    spoil() {
      const it = committed();
      Object.assign(it.sessions.get('s') ?? {}, { status: 'rolled_back' });
      return it;
    },
    caught: 'two outcomes',
    also: ['end not carried out'],
  },
  'a repeated commit with another receipt': {
    spoil() {
      const it = committed('e1');
      it.w1
        .invoke({ command: 'commit', sessionId: 's' })
        .ok({ sessionId: 's', status: 'committed', events: 1, published: 0, deferred: 1, durationMs: 1 });
      return it;
    },
    caught: 'receipts differ',
  },
  'a receipt whose numbers do not add up': {
    spoil() {
      const it = committed('e1', 'e2');
      const receipt = it.history.findLast((entry) => entry.kind === 'ok');
      Object.assign(receipt?.receipt ?? {}, { published: 1 });
      return it;
    },
    caught: 'dishonest receipt',
  },
  'a receipt that counts events that the session does not have': {
    spoil() {
      const it = committed('e1', 'e2');
      const receipt = it.history.findLast((entry) => entry.kind === 'ok');
      Object.assign(receipt?.receipt ?? {}, { published: 3, events: 3 });
      return it;
    },
    caught: 'dishonest receipt',
  },
  'a receipt that says published of what was not': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.add('s', 'e1', 'e2');
      const commit = process.invoke({ command: 'commit', sessionId: 's' });
      process.begin('s');
      process.publish('s', ['e1']);
      process.finish('s');
      commit.ok({ sessionId: 's', status: 'committed', events: 2, published: 2, deferred: 0, durationMs: 1 });
      return it;
    },
    caught: 'dishonest receipt',
    also: ['event lost'],
  },
  'a commit of fewer events than expected': {
    spoil() {
      const it = committed('e1');
      const commit = it.history.find((entry) => entry.kind === 'invoke' && entry.command === 'commit');
      Object.assign(commit ?? {}, { expectedEvents: 2 });
      return it;
    },
    caught: 'expected events ignored',
  },
  'an acknowledged rollback that recovery never carried out': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process
        .invoke({ command: 'rollback', sessionId: 's' })
        .ok({ sessionId: 's', status: 'rolled_back', discarded: 0, deferred: true });
      Object.assign(it.sessions.get('s') ?? {}, { status: 'rolled_back', statusAfterRecovery: 'open' });
      return it;
    },
    caught: 'end not carried out',
  },
  'a deferred rollback that a commit overruled without a word': {
    spoil() {
      const it = committed('e1');
      it.w1
        .invoke({ command: 'rollback', sessionId: 's' })
        .ok({ sessionId: 's', status: 'rolled_back', discarded: 0, deferred: true });
      return it;
    },
    caught: 'end not carried out',
  },
  'a session that nobody brought to an end': {
    spoil() {
      const it = world();
      const process = it.process('w1.1');
      process.start('s');
      process.begin('s');
      return it;
    },
    caught: 'session unfinished',
  },
  'an add that failed because the store was down': {
    spoil() {
      const it = committed();
      it.w1
        .invoke(addOf('s', ['e1']))
        .fail({ code: 'STORE_UNAVAILABLE', message: 'down', outcome: 'not_done' });
      return it;
    },
    caught: 'aborted',
  },
  'a log that failed though nothing was wrong with its disk': {
    spoil() {
      const it = committed();
      it.w1.write({ kind: 'fault', fault: 'disk full', target: 'log-b', from: 0, until: 9e15 });
      it.w1.invoke(addOf('s', ['e1'])).fail({ code: 'CONTINGENCY_FAILED', message: 'EIO' });
      return it;
    },
    caught: 'aborted',
  },
  'a call that is never answered': {
    spoil() {
      const it = committed();
      it.w1.invoke({ command: 'rollback', sessionId: 's' });
      it.w1.end();
      return it;
    },
    caught: 'never settled',
  },
  'a damaged line though no process died': {
    spoil() {
      const it = committed();
      it.quarantine.push({ log: 'log-a', reason: 'the checksum does not match' });
      return it;
    },
    caught: 'unexplained quarantine',
  },
  'a quarantined event of a session that its own log had started': {
    spoil() {
      const it = committed('e1');
      it.w1.addDeferred('s', 'e2');
      const reason = 'neither the store nor the log knows this session';
      it.quarantine.push({
        log: 'log-a',
        reason,
        record: { kind: 'event.added', sessionId: 's', eventId: 'e2' },
      });
      return it;
    },
    caught: 'unexplained quarantine',
    also: ['event lost'],
  },
  'a quarantined commit of a session that nobody ended otherwise': {
    spoil() {
      const it = committed('e1');
      const reason = 'the session had already ended in another way';
      it.quarantine.push({
        log: 'log-a',
        reason,
        record: { kind: 'session.commit_requested', sessionId: 's' },
      });
      return it;
    },
    caught: 'unexplained quarantine',
  },
  'a record that stays in the log': {
    spoil() {
      const it = committed('e1');
      it.backlog.set('log-a', 1);
      return it;
    },
    caught: 'backlog left',
  },
};

describe('a history with one thing spoiled is caught', () => {
  for (const [name, { spoil, caught, also = [] }] of Object.entries(SPOILED)) {
    it(`${name}: ${caught}`, () => {
      expect(rulesBroken(spoil()).sort()).toEqual([caught, ...also].sort());
    });
  }
});

it('a message of the right event is read by its topic', () => {
  const it = committed('e1');
  expect(it.messages).toMatchObject([{ id: 'e1', topic: TOPIC, sequence: 1 }]);
});

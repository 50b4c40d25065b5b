import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { acquireLock } from '../../../src/adapters/file/recovery-lock.js';
import type { Scenario, Stage } from './stage.js';

/** Recovery, of what others have left behind. */
export const recoveryScenarios: readonly Scenario[] = [
  {
    name: 'everything recovered',
    async play(stage) {
      await stage.setting(() => leaveEverything(stage));
      await stage.actor().recover();
    },
  },
  {
    name: 'recovered while the broker is down',
    async play({ actor, sessionId, setting, broker }) {
      const [owed, requested, added] = [sessionId('owed'), sessionId('requested'), sessionId('added')];
      await setting(async () => {
        const client = actor();
        await client.start(owed);
        await client.addMany(owed, 'a1', 'b2', 'a3');
        broker.down = true;
        await client.commit(owed);
        client.redis.down = true;
        await client.start(requested);
        await client.add(requested, 'a1');
        await client.commit(requested);
        await client.start(added);
        await client.add(added, 'a1');
      });
      const recovering = actor();
      await recovering.recover();
      broker.down = false;
      await recovering.recover();
    },
  },
  {
    name: 'sealed while appends go on',
    async play({ line, actor, sessionId, setting }) {
      const [cutOff, recovering, session, other] = [actor(), actor(), sessionId('s'), sessionId('t')];
      cutOff.redis.down = true;
      await setting(async () => {
        await cutOff.start(session);
        await cutOff.add(session, 'a1');
      });
      line.before('file.rename(log)', () => cutOff.add(session, 'a2'));
      line.before('redis.APPEND', async () => {
        await cutOff.add(session, 'a3');
        await cutOff.start(other);
      });
      await recovering.recover();
      await recovering.recover();
    },
  },
  {
    name: 'interrupted commit',
    async play({ actor, sessionId, setting, abandonedCommit }) {
      await setting(() => abandonedCommit(sessionId('s'), 5));
      await actor().recover();
    },
  },
  {
    name: 'session that is not due yet',
    async play({ actor, sessionId, setting, dueTooEarly }) {
      const session = sessionId('s');
      await setting(async () => {
        const client = actor();
        await client.start(session);
        await client.add(session, 'a1');
        await dueTooEarly(session);
      });
      await actor().recover();
    },
  },
  {
    // Elsewhere recovery finds that a session is overdue; here it has been, and is ended.
    name: 'session past its grace',
    async play({ actor, sessionId, setting, pastGrace }) {
      const session = sessionId('s');
      await setting(async () => {
        await actor().start(session, 1);
        await pastGrace(session);
      });
      await actor().recover();
    },
  },
  {
    name: 'stale lock',
    async play({ log, actor, sessionId, setting }) {
      await setting(() => leaveStaleLock(actor(), sessionId('s'), `${log}.lock`));
      await actor().recover();
    },
  },
  {
    name: 'stale lock taken by somebody else',
    async play({ line, log, actor, sessionId, setting }) {
      await setting(() => leaveStaleLock(actor(), sessionId('s'), `${log}.lock`));
      line.before('file.rename(lock)', () =>
        setting(async () => {
          rmSync(`${log}.lock`);
          await acquireLock(`${log}.lock`, 0o600);
        }),
      );
      await actor().recover();
    },
  },
  {
    name: 'log behind a symbolic link',
    async play({ log, actor, sessionId }) {
      mkdirSync(dirname(log), { recursive: true });
      symlinkSync(`${basename(log)}.0123abcd`, log);
      const [client, session] = [actor(), sessionId('s')];
      client.redis.down = true;
      await client.start(session);
      await client.add(session, 'a1');
      await client.commit(session);
      client.redis.down = false;
      await actor().recover();
    },
  },
  {
    name: 'heartbeat of the lock',
    async play({ line, actor, sessionId, setting, tickOnce }) {
      const session = sessionId('s');
      await setting(async () => {
        const client = actor();
        client.redis.down = true;
        await client.start(session);
        await client.add(session, 'a1');
        await client.commit(session);
      });
      const stopTicks = tickOnce();
      // Not the lease of the commit that follows: it may be over before its renewal is due.
      line.before('redis.APPEND', async () => {
        await line.arrival('file.handle.utimes(lock)');
        stopTicks();
      });
      await actor().recover();
    },
  },
];

/** One session for each way in which something can be left to recovery. */
async function leaveEverything({
  actor,
  sessionId,
  broker,
  log,
  damageLog,
  abandonedCommit,
}: Stage): Promise<void> {
  const [client, cutOff] = [actor(), actor()];
  cutOff.redis.down = true;

  const requested = sessionId('requested');
  await cutOff.start(requested);
  await cutOff.addMany(requested, 'a1', 'b2');
  await cutOff.commit(requested);

  const late = sessionId('late');
  await client.start(late);
  await client.add(late, 'a1');
  await cutOff.add(late, 'a2');
  await client.commit(late);

  const discarded = sessionId('discarded');
  await client.start(discarded);
  await cutOff.add(discarded, 'a1');
  await cutOff.rollback(discarded);

  await cutOff.add(sessionId('unknown'), 'a1');

  const owed = sessionId('owed');
  await client.start(owed);
  await client.addMany(owed, 'a1', 'b2', 'a3');
  broker.down = true;
  await client.commit(owed);
  broker.down = false;

  await client.start(sessionId('expired'), 1);
  await abandonedCommit(sessionId('abandoned'), 3);

  // What a crash leaves in the middle of a line, a line that is damaged, and a recovery that died while it replaced.
  damageLog('\n{"v":1,"kind":"event.added","sessionId":"x","at":1,"crc":"00000000"}\n{"v":1,"kind":"ev');
  writeFileSync(`${log}.000000000001-0123abcd.sealed.tmp`, '{"v":1,');
}

async function leaveStaleLock(
  client: ReturnType<Stage['actor']>,
  session: string,
  lock: string,
): Promise<void> {
  client.redis.down = true;
  await client.start(session);
  await client.add(session, 'a1');
  await client.commit(session);
  writeFileSync(lock, '');
  utimesSync(lock, 1, 1);
}

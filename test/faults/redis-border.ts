import type { Redis } from 'ioredis';
import type { RedisClient } from '../../src/adapters/redis/redis-client.js';
import * as scripts from '../../src/adapters/redis/scripts.js';
import type { FaultLine } from './fault-line.js';

/** One instance's way to Redis. */
export interface RedisBorder extends RedisClient {
  /** While true, every command is refused before it is sent, as ioredis does without a connection. */
  down: boolean;
  /** While true, Redis knows no script by its hash, as after SCRIPT FLUSH. */
  flushed: boolean;
}

export const scriptNames: readonly string[] = Object.entries(scripts)
  .filter(([, value]) => typeof value === 'object' && 'sha' in value)
  .map(([name]) => name);

const nameOf = new Map(
  Object.entries(scripts).flatMap(([name, value]) =>
    typeof value === 'object' && 'sha' in value
      ? [[value.sha, name] as const, [value.lua, name] as const]
      : [],
  ),
);

export function redisBorder(redis: Redis, line: FaultLine): RedisBorder {
  const cursors = new Map<string, unknown>();

  function send(command: 'evalsha' | 'eval', script: string, keyCount: number, rest: (string | number)[]) {
    const known = nameOf.get(script);
    const name = known === 'ADVANCE' && isRenewal(rest) ? 'ADVANCE(renewal)' : (known ?? 'unknown script');
    const unknownHash = command === 'evalsha' && border.flushed;
    return line.pass<unknown>({
      name: `redis.${name}${command === 'eval' ? '(eval)' : unknownHash ? '(flushed)' : ''}`,
      work: () => redis[command](unknownHash ? script.replace(/./g, '0') : script, keyCount, ...rest),
      fault: () => new Error('Connection is closed.'),
    });
  }

  /** A lease is renewed by an ADVANCE that leaves the cursor where it is. */
  function isRenewal([key, , , epoch, cursor]: (string | number)[]): boolean {
    const attempt = `${key} ${epoch}`;
    if (cursors.get(attempt) === cursor) return true;
    cursors.set(attempt, cursor);
    return cursor === 0;
  }

  const border: RedisBorder = {
    down: false,
    flushed: false,
    async evalsha(sha, keyCount, ...rest) {
      if (border.down) throw offline();
      return send('evalsha', sha, keyCount, rest);
    },
    async eval(lua, keyCount, ...rest) {
      if (border.down) throw offline();
      return send('eval', lua, keyCount, rest);
    },
  };
  return border;
}

function offline(): Error {
  return new Error("Stream isn't writeable and enableOfflineQueue options is false");
}

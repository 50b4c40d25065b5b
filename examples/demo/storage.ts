import { randomBytes } from 'node:crypto';
import { memoryStore, type SessionStore } from 'event-sessions';
import { redisStore } from 'event-sessions/redis';
import { Redis } from 'ioredis';

/** A store, and how to remove the demo's sessions from it. */
export interface Storage {
  readonly name: string;
  readonly store: SessionStore;
  clear(sessionIds: readonly string[]): Promise<void>;
}

export function memoryStorage(): Storage {
  return { name: 'memory', store: memoryStore(), clear: async () => {} };
}

export function redisStorage(url: string): Storage {
  const prefix = `event-sessions-demo-${randomBytes(3).toString('hex')}`;
  return {
    name: `Redis at ${withoutPassword(url)}`,
    store: redisStore({ url, prefix }),
    async clear(sessionIds) {
      const redis = new Redis(url, { retryStrategy: () => null });
      // A failed command rejects; ioredis would print this one as well.
      redis.on('error', () => {});
      try {
        // One by one: on a cluster they live in different slots.
        const keys = sessionIds.flatMap((id) =>
          ['', ':events', ':ids'].map((part) => `${prefix}:{${id}}${part}`),
        );
        for (const key of [...keys, `${prefix}:index`]) await redis.unlink(key);
      } finally {
        redis.disconnect();
      }
    },
  };
}

function withoutPassword(text: string): string {
  const url = new URL(text);
  if (url.password !== '') url.password = '***';
  return url.href;
}

import { createEventSessions, type EventSessionsOptions } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import type { Redis } from 'ioredis';
import { SOURCE, TOPIC } from '../by-hand/envelope.js';
import type { BenchContext } from './bench.js';

/** Sessions on the servers of the bench, on a client that by-hand code uses too. */
export function sessionsOn(
  { nsqd }: Pick<BenchContext, 'nsqd'>,
  client: Redis,
  options: Pick<EventSessionsOptions, 'commit' | 'limits'> = {},
) {
  return createEventSessions({
    source: SOURCE,
    store: redisStore({ client }),
    publisher: nsqPublisher({ nsqd: nsqd.tcp }),
    topic: () => TOPIC,
    recovery: false,
    logger: false,
    ...options,
  });
}

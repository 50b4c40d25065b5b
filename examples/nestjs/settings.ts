import { Logger } from '@nestjs/common';
import { type EventSessionsOptions, json, type Logger as SessionsLogger } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';
import { JSONDeserializer, NSQStrategy } from 'nest-nsq-transport';
import { orderEvents } from './order-events.js';

/** Without a variable the part lives in memory: fine to try the service out, gone when it ends. */
export function eventSessionsOptions(env: NodeJS.ProcessEnv): EventSessionsOptions<typeof orderEvents> {
  const { REDIS_URL, REDIS_PREFIX = 'orders', NSQD, CONTINGENCY_LOG } = env;
  return {
    source: '/shop/orders',
    events: orderEvents,
    store: REDIS_URL ? redisStore({ url: REDIS_URL, prefix: REDIS_PREFIX }) : undefined,
    // The bare data as JSON: what nest-nsq-transport puts on the wire, and what its JSONDeserializer reads.
    publisher: NSQD ? nsqPublisher({ nsqd: NSQD.split(','), codec: json() }) : undefined,
    contingency: CONTINGENCY_LOG ? fileContingency({ path: CONTINGENCY_LOG }) : undefined,
    logger: nestLogger(new Logger('EventSessions')),
  };
}

/** How a consumer reads. A message whose handler throws comes again after a second at the earliest. */
export function nsqStrategy({ NSQD = '127.0.0.1:4150' }: NodeJS.ProcessEnv): NSQStrategy {
  return new NSQStrategy({
    deserializer: new JSONDeserializer(),
    defaultChannelOptions: { nsqdTCPAddresses: NSQD.split(','), requeueParams: [1_000] },
  });
}

/** Nest's logger calls `log` what others call `info`. */
function nestLogger(logger: Logger): SessionsLogger {
  return {
    debug: (message, context) => logger.debug({ message, ...context }),
    info: (message, context) => logger.log({ message, ...context }),
    warn: (message, context) => logger.warn({ message, ...context }),
    error: (message, context) => logger.error({ message, ...context }),
  };
}

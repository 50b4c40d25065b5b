import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createEventSessions, type EventSessionsOptions } from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { redisStore } from 'event-sessions/redis';
import { Registry } from 'prom-client';
import { createApp } from './app.js';
import { shopEvents } from './shop-events.js';

/** For requests under way when it is told to end. */
const DRAIN_MS = 5_000;

const {
  REDIS_URL,
  REDIS_PREFIX = 'shop',
  NSQD,
  TOPIC = 'shop.checkouts',
  CONTINGENCY_LOG,
  OPERATOR_TOKEN: operatorToken,
  HOST = '127.0.0.1',
  PORT = '3000',
} = process.env;

const sessions = createEventSessions({
  source: '/shop/checkouts',
  events: shopEvents,
  // One topic for all of a checkout: NSQ promises no order, `sequence` gives it back to whoever reads the topic.
  topic: () => TOPIC,
  ...adapters(),
});
const prometheus = new Registry();
prometheusMetrics(sessions, prometheus);
const server = createServer(createApp(sessions, { operatorToken, prometheus }));

server.on('error', (error) => {
  console.error(`The shop cannot listen: ${error.message}`);
  process.exit(1);
});
server.listen(Number(PORT), HOST, () => {
  console.log(`The shop listens on http://${HOST}:${(server.address() as AddressInfo).port}`);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void shutDown(signal));

/** Without a variable the part lives in memory: fine to try the shop out, gone when it ends. */
function adapters(): Pick<EventSessionsOptions, 'store' | 'publisher' | 'contingency'> {
  const inMemory = Object.entries({ REDIS_URL, NSQD, CONTINGENCY_LOG }).filter(([, value]) => !value);
  if (inMemory.length > 0) {
    const names = inMemory.map(([name]) => name).join(', ');
    console.log(`Not set: ${names}. Kept in memory instead, for this process only`);
  }
  return {
    store: REDIS_URL ? redisStore({ url: REDIS_URL, prefix: REDIS_PREFIX }) : undefined,
    publisher: NSQD ? nsqPublisher({ nsqd: NSQD.split(',') }) : undefined,
    contingency: CONTINGENCY_LOG ? fileContingency({ path: CONTINGENCY_LOG }) : undefined,
  };
}

/** No new connections, an answer for every request under way, then the sessions: in this order. */
async function shutDown(signal: string): Promise<void> {
  console.log(`${signal}: finishing what is under way`);
  const closed = new Promise((resolve) => server.close(resolve));
  // A client that keeps its connection open after its answer would hold the server until its timeout.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  // One that has brought no request yet is not idle for Node. Whatever is left, the sessions are to be closed.
  const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await closed;
  clearInterval(sweep);
  clearTimeout(late);

  await sessions.close();
  console.log('Closed');
  process.exit(0);
}

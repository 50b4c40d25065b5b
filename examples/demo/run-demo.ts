import { createEventSessions, isEventSessionsError } from 'event-sessions';
import type { Broker } from './broker.js';
import { memoryBroker } from './memory-broker.js';
import { nsqBroker } from './nsq-broker.js';
import { type DemoOptions, parseOptions, USAGE } from './options.js';
import { type OrderSessions, orderEvents } from './order-events.js';
import { checkout } from './scenes/checkout.js';
import { commit } from './scenes/commit.js';
import { metrics } from './scenes/metrics.js';
import { outage } from './scenes/outage.js';
import { refusals } from './scenes/refusals.js';
import { retry } from './scenes/retry.js';
import { rollback } from './scenes/rollback.js';
import { memoryStorage, redisStorage, type Storage } from './storage.js';
import { jsonTeller, proseTeller, type Teller } from './tell.js';

const SCENES = [checkout, retry, commit, rollback, refusals, outage, metrics];

/** Answers the exit code: 0, 1 when something is missing or fails on the way, 2 for wrong options. */
export async function runDemo(args: readonly string[]): Promise<number> {
  let options: DemoOptions;
  let parts: { storage: Storage; broker: Broker };
  try {
    options = parseOptions(args);
    parts = {
      storage: options.redis === undefined ? memoryStorage() : redisStorage(options.redis),
      broker: options.nsqd === undefined ? memoryBroker() : nsqBroker(options.nsqd),
    };
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }

  const { storage, broker } = parts;
  const teller = options.json ? jsonTeller(process.stdout) : proseTeller(process.stdout, process.stderr);
  const sessions = createEventSessions({
    source: '/shop/orders',
    events: orderEvents(broker.topics),
    store: storage.store,
    publisher: broker.publisher,
    // Short, for the outage to be over soon.
    commit: { retries: 1 },
    // What a demo leaves behind that was cut off vanishes by itself.
    ttl: 600_000,
    retention: 60_000,
    logger: false,
  });
  try {
    return (await everythingIsThere(sessions, options, teller))
      ? await play(sessions, parts, options, teller)
      : 1;
  } catch (error) {
    process.stderr.write(`The demo had to stop: ${messageOf(error)}\n`);
    return 1;
  } finally {
    await sessions.close();
  }
}

async function play(
  sessions: OrderSessions,
  { storage, broker }: { storage: Storage; broker: Broker },
  options: DemoOptions,
  teller: Teller,
): Promise<number> {
  const startedAt = performance.now();
  const made: string[] = [];
  sessions.on('session.started', ({ sessionId }) => made.push(sessionId));
  try {
    await broker.open();
    await teller.opening({ store: storage.name, broker: broker.name });
    const stage = { sessions, broker, orderId: '' };
    for (const scene of SCENES) await teller.scene(await scene(stage));
    teller.ending({
      durationMs: performance.now() - startedAt,
      published: (await broker.received(0)).length,
      embedded: options.redis === undefined && options.nsqd === undefined,
    });
    return 0;
  } finally {
    await Promise.allSettled([storage.clear(made), broker.close()]);
  }
}

/** Asks before it begins: a missing server is better told in one line than by a demo of outages. */
async function everythingIsThere(
  sessions: OrderSessions,
  options: DemoOptions,
  teller: Teller,
): Promise<boolean> {
  const { store, publisher } = await sessions.health();
  const servers = [
    {
      server: 'Redis',
      health: store,
      address: options.redis?.replace(/\/\/.*@/, '//') ?? '',
      hint: 'To start one: redis-server',
    },
    {
      server: 'nsqd',
      health: publisher,
      address: options.nsqd ?? '',
      hint: 'To start one: nsqd',
    },
  ];
  const missing = servers.filter(({ health }) => health.status === 'down');
  if (missing.length > 0) {
    teller.missing(missing.map(({ health, ...rest }) => ({ ...rest, reason: health.error ?? 'unknown' })));
  }
  return missing.length === 0;
}

function messageOf(error: unknown): string {
  if (isEventSessionsError(error)) return error.message;
  return error instanceof Error ? error.message : String(error);
}

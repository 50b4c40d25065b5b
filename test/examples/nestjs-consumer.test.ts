import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { createEventSessions, json } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { JSONSerializer, NSQClient } from 'nest-nsq-transport';
import { lastValueFrom } from 'rxjs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppModule } from '../../examples/nestjs/app.module.js';
import { nsqStrategy } from '../../examples/nestjs/settings.js';
import { Shipments } from '../../examples/nestjs/shipments.js';
import { ShippingModule } from '../../examples/nestjs/shipping.module.js';
import { newId } from '../../src/core/ids.js';
import { consume, type RunningNsqd, startNsqd } from '../support/nsqd.js';
import { describeWithAll } from '../support/services.js';
import { waitFor } from '../support/wait-for.js';
import { type RunningExample, startExample } from './run-example.js';
import { type ShopClient, shopClient } from './shop-client.js';

const order = (orderId: string) => ({ type: 'order.placed', data: { orderId, total: 4_200 } });

async function startSession(http: ShopClient, events: readonly object[]): Promise<string> {
  const { sessionId } = (await http.post('/sessions')).body;
  for (const event of events)
    expect((await http.post(`/sessions/${sessionId}/events`, event)).status).toBe(201);
  return sessionId;
}

describeWithAll(['redis', 'nsqd'], ({ redis }) => {
  // The topics of the example have fixed names, so it gets a nsqd of its own.
  let nsqd: RunningNsqd;
  let folder: string;
  let env: Record<string, string>;
  beforeEach(async () => {
    nsqd = await startNsqd();
    folder = await mkdtemp(join(tmpdir(), 'event-sessions-nestjs-'));
    env = {
      REDIS_URL: redis.url,
      REDIS_PREFIX: `nestjs-${newId()}`,
      NSQD: nsqd.tcp,
      CONTINGENCY_LOG: join(folder, 'contingency-log.jsonl'),
    };
  });
  afterEach(async () => {
    await nsqd.stop();
    await rm(folder, { recursive: true, force: true });
  });

  interface NsqdStats {
    /** Null when there are none. */
    readonly producers: readonly unknown[] | null;
    readonly topics: readonly {
      readonly message_count: number;
      readonly channels: readonly {
        readonly depth: number;
        readonly in_flight_count: number;
        readonly deferred_count: number;
        readonly client_count: number;
      }[];
    }[];
  }

  async function nsqdStats(query = ''): Promise<NsqdStats> {
    return (await (await fetch(`http://${nsqd.http}/stats?format=json${query}`)).json()) as NsqdStats;
  }

  /** How many messages a topic has got, and for each channel how many the consumer has not finished. */
  async function topicStats(name: string) {
    const [topic] = (await nsqdStats(`&topic=${name}`)).topics;
    const waiting = topic?.channels.map((it) => it.depth + it.in_flight_count + it.deferred_count);
    return { published: topic?.message_count ?? 0, waiting };
  }

  /** Connections that nsqd has with publishers, and with the readers of each channel. */
  async function nsqdClients() {
    const { producers, topics } = await nsqdStats();
    const readers = topics.flatMap(({ channels }) => channels.map(({ client_count }) => client_count));
    return { publishers: producers?.length ?? 0, readers };
  }

  describe('in one process', () => {
    const closing: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const close of closing.splice(0)) await close();
      vi.unstubAllEnvs();
    });

    async function start() {
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      const consumer = await NestFactory.createMicroservice<MicroserviceOptions>(ShippingModule, {
        strategy: nsqStrategy(process.env),
        logger: false,
      });
      const shipments = consumer.get(Shipments);
      const prepare = vi.spyOn(shipments, 'prepare');
      const stop = vi.spyOn(shipments, 'stop');
      await consumer.listen();
      const app = await NestFactory.create(AppModule, { logger: false });
      await app.listen(0, '127.0.0.1');
      const close = async () => {
        await app.close();
        await consumer.close();
      };
      closing.push(close);
      return { http: shopClient(await app.getUrl(), undefined), prepare, stop, close };
    }

    test('a consumer on nest-nsq-transport gets what a commit published, each once, and nothing of a rollback', async () => {
      const { http, prepare, stop } = await start();
      const abandoned = await startSession(http, [order('abandoned')]);
      const id = await startSession(http, [
        order('o-1'),
        order('o-2'),
        { type: 'order.cancelled', data: { orderId: 'o-1', reason: 'Überraschung ☂ 🎂' } },
      ]);
      expect((await http.post(`/sessions/${abandoned}/rollback`)).body).toMatchObject({ discarded: 1 });
      expect((await http.post(`/sessions/${id}/commit`, { expectedEvents: 3 })).body).toMatchObject({
        status: 'committed',
        published: 3,
      });
      expect((await http.post(`/sessions/${id}/commit`)).status).toBe(200);

      await waitFor(async () => {
        expect(await topicStats('order.placed')).toEqual({ published: 2, waiting: [0] });
        expect(await topicStats('order.cancelled')).toEqual({ published: 1, waiting: [0] });
      }, 10_000);
      expect(prepare.mock.calls.flat().sort((a, b) => a.orderId.localeCompare(b.orderId))).toEqual([
        { orderId: 'o-1', total: 4_200 },
        { orderId: 'o-2', total: 4_200 },
      ]);
      expect(stop.mock.calls).toEqual([[{ orderId: 'o-1', reason: 'Überraschung ☂ 🎂' }]]);
    });

    test('a message whose handler throws comes again', async () => {
      const { http, prepare } = await start();
      prepare.mockImplementationOnce(() => {
        throw new Error('no parcel left');
      });
      const id = await startSession(http, [order('o-1')]);
      await http.post(`/sessions/${id}/commit`);
      await waitFor(() => expect(prepare).toHaveBeenCalledTimes(2));
      expect(prepare.mock.calls[1]).toEqual(prepare.mock.calls[0]);
    });

    test('closing both leaves no connection, no server and no timer', async () => {
      const timersBefore = open(/^Timeout$/).length;
      const { http, close, prepare } = await start();
      const id = await startSession(http, [order('o-1')]);
      await http.post(`/sessions/${id}/commit`);
      await waitFor(() => expect(prepare).toHaveBeenCalledTimes(1));
      expect(open(/^TCP/)).toContain('TCPServerWrap');
      expect(await nsqdClients()).toEqual({ publishers: 1, readers: [1, 1] });

      await close();
      // An idle publisher holds no process open, so only nsqd can tell that its connection has gone.
      await waitFor(async () => expect(await nsqdClients()).toEqual({ publishers: 0, readers: [0, 0] }));
      await waitFor(() => expect(open(/^TCP/)).toEqual([]));
      // Out here, where there are no timers of `waitFor`.
      expect(open(/^Timeout$/).length).toBeLessThanOrEqual(timersBefore);
    });
  });

  describe('in processes of their own', () => {
    const running: RunningExample[] = [];
    afterEach(async () => {
      for (const example of running.splice(0)) {
        example.signal('SIGKILL');
        await example.ended;
      }
    });

    function run(path: string): RunningExample {
      const example = startExample(path, [], { PORT: '0', NO_COLOR: '1', ...env });
      running.push(example);
      return example;
    }

    test('service and consumer work, and SIGTERM ends each with exit code 0', async () => {
      const service = run('nestjs/main.ts');
      const [, url = ''] = await service.printed(/listens on (\S+)\n/);
      const http = shopClient(url, undefined);
      const id = await startSession(http, [order('o-1')]);
      expect((await http.post(`/sessions/${id}/commit`)).body).toMatchObject({ published: 1, deferred: 0 });

      // Started after the commit: nsqd keeps what nobody has read yet.
      const consumer = run('nestjs/consumer.ts');
      await consumer.printed(/Preparing o-1, 4200 cents\n/);
      for (const example of [service, consumer]) {
        example.signal('SIGTERM');
        const { code, stderr } = await example.ended;
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      }
      expect(await topicStats('order.placed')).toEqual({ published: 1, waiting: [0] });
    });
  });
});

describeWithAll(['nsqd'], ({ nsqd }) => {
  test('the codec json() publishes what a client of nest-nsq-transport publishes, byte for byte', async () => {
    const [theirs, ours] = [`theirs-${newId()}`, `ours-${newId()}`];
    const client = new NSQClient({ nsqdURL: nsqd.tcp, serializer: new JSONSerializer() });
    const sessions = createEventSessions({
      publisher: nsqPublisher({ nsqd: nsqd.tcp, codec: json() }),
      recovery: false,
    });
    try {
      for (const data of SAMPLES) await lastValueFrom(client.emit(theirs, data), { defaultValue: undefined });
      await sessions.transaction(async (session) => {
        for (const data of SAMPLES) await session.add('sample', data, { topic: ours });
      });
      const count = SAMPLES.length;
      const published = await consume(nsqd.tcp, ours, { count });
      expect(published.sort()).toEqual((await consume(nsqd.tcp, theirs, { count })).sort());
      expect(published).toEqual(SAMPLES.map((data) => JSON.stringify(data)).sort());
    } finally {
      await sessions.close();
      await client.close();
    }
  });
});

/** `null` is missing: the client refuses it. */
const SAMPLES: unknown[] = [
  { orderId: 'o-1', total: 42, lines: [{ sku: 'tea', price: 1.5e-7 }], note: undefined, paid: false },
  { b: 1, a: { nested: [[], {}, null] }, 2: 'second', 1: 'first' },
  'Überraschung ☂ 🎂 \u2028 \ud800 "quoted" \\ </script>',
  new Date(0),
  [1, -0, 1e21, 0.1 + 0.2],
  '',
  0,
];

/** What keeps the process running, of a kind. */
function open(kind: RegExp): string[] {
  return process.getActiveResourcesInfo().filter((name) => kind.test(name));
}

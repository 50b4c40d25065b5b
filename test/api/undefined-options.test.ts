import {
  type Codec,
  createEventSessions,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { fileContingency } from 'event-sessions/file';
import { nsqPublisher } from 'event-sessions/nsq';
import { openTelemetry } from 'event-sessions/opentelemetry';
import { redisStore } from 'event-sessions/redis';
import { contingencyLogCases } from 'event-sessions/testing';
import { expect, test } from 'vitest';
import * as z from 'zod';

// Compiled with exactOptionalPropertyTypes: what an application has read from its environment may well be undefined.
test('options that are undefined are as if they were not there, for the compiler too', async () => {
  const none = undefined;
  const codec: Codec = { contentType: 'text/plain', encode: ({ json }) => json, overheadBytes: none };
  openTelemetry({ tracerProvider: none, meterProvider: none, system: none });
  contingencyLogCases(
    async () => ({ log: memoryContingency(), reopen: none, quarantined: none, dispose: none }),
    {
      makeBounded: none,
    },
  );
  const closed = [
    redisStore({ url: 'redis://127.0.0.1:1', prefix: none, deadlineMs: none }),
    nsqPublisher({ nsqd: none, codec: none, deadlineMs: none, connectTimeoutMs: none }),
    nsqPublisher({
      codec,
      maxMessageBytes: none,
      maxRequestBytes: none,
      maxRequestMessages: none,
      maxInFlightBytes: none,
      reconnect: { minMs: none, maxMs: none },
    }),
    fileContingency({ path: none, maxBytes: none, mode: none, fsync: none, fsyncIntervalMs: none }),
  ];
  await Promise.all(closed.map((adapter) => adapter.close()));

  const sessions = createEventSessions({
    store: memoryStore({ now: none }),
    publisher: memoryPublisher({ onPublish: none, maxEventBytes: none }),
    contingency: memoryContingency({ maxBytes: none }),
    events: { a: { schema: z.number(), topic: none } },
  });
  const session = await sessions.startSession({ sessionId: none, metadata: none, ttl: none });
  await session.add('a', 1, { id: none, topic: none, subject: none, time: none, extensions: none });
  await session.extend({ ttl: none });
  expect((await session.events({ after: none, limit: none })).events).toHaveLength(1);
  expect(await session.commit({ expectedEvents: none, signal: none })).toMatchObject({ published: 1 });
  await sessions.queries.listSessions({ status: none, cursor: none, limit: none });
  await sessions.recover({ onProgress: none });
  await sessions.close({ timeoutMs: none });
});

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { run } from './run.js';

const { root, full, ioredis6 } = inject('packed');

const CONSUMER = `
import { createEventSessions, isEventSessionsError, type StandardSchemaV1 } from 'event-sessions';
import { eventSessionsRouter } from 'event-sessions/express';
import { fileContingency } from 'event-sessions/file';
import { createHttpHandler, type NodeRequest } from 'event-sessions/http';
import { nsqPublisher } from 'event-sessions/nsq';
import { openTelemetry } from 'event-sessions/opentelemetry';
import { prometheusMetrics } from 'event-sessions/prometheus';
import { redisStore } from 'event-sessions/redis';
import * as testing from 'event-sessions/testing';
import { Redis } from 'ioredis';
import { register } from 'prom-client';

export async function main(): Promise<number> {
  const sessions = createEventSessions({
    source: '/shop/orders',
    store: redisStore({ url: 'redis://127.0.0.1:6379' }),
    publisher: nsqPublisher({ nsqd: ['127.0.0.1:4150'] }),
    contingency: fileContingency({ path: 'contingency-log.jsonl' }),
    instrumentation: openTelemetry(),
  });
  prometheusMetrics(sessions, register).stop();
  sessions.on('*', (event) => event.type === 'session.committed' && event.published);
  const session = await sessions.startSession({ metadata: { user: 'u-1' } });
  await session.add('order.placed', { orderId: 'o-1', total: 42 });
  const receipt = await session.commit();
  const status: 'committed' | 'committing' = receipt.status;
  if (isEventSessionsError(undefined, 'CLOSED')) return Object.keys(testing).length;
  return status === 'committed' ? receipt.published : 0;
}

export const edges = [createHttpHandler(createEventSessions()), eventSessionsRouter(createEventSessions())];

export const withOwnSchema = (schema: StandardSchemaV1<{ n: number }>) =>
  createEventSessions({ events: { placed: schema } }).session('s-1').add('placed', { n: 1 });

interface WithUser extends NodeRequest {
  readonly user?: string;
}
export const withUser = eventSessionsRouter(createEventSessions(), {
  authorize: ({ user }: WithUser, action) => user !== undefined || (action === 'list' && new Response()),
});

export const withOwnClient = () => createEventSessions({ store: redisStore({ client: new Redis() }) });

// @ts-expect-error a misspelt option is a compile error
createEventSessions({ sauce: '/shop' });
`;

describe('a strict TypeScript project compiles with', () => {
  it.each([
    { name: 'node16, ES module', dir: full, file: 'esm.mts', module: 'Node16', moduleResolution: 'Node16' },
    { name: 'node16, CommonJS', dir: full, file: 'cjs.cts', module: 'Node16', moduleResolution: 'Node16' },
    { name: 'bundler', dir: full, file: 'bundler.ts', module: 'ESNext', moduleResolution: 'Bundler' },
    { name: 'node10', dir: full, file: 'node10.ts', module: 'CommonJS', moduleResolution: 'Node10' },
    { name: 'ioredis 6', dir: ioredis6, file: 'esm.mts', module: 'Node16', moduleResolution: 'Node16' },
  ])('$name', async ({ dir, file, module, moduleResolution }) => {
    const project = join(dir, file.replace('.', '-'));
    await mkdir(project);
    await writeFile(join(project, file), CONSUMER);
    // Declarations are checked too, so that ours cannot hide an error behind skipLibCheck.
    const compilerOptions = {
      target: 'ES2022',
      module,
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      esModuleInterop: true,
      types: ['node'],
    };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    expect(await run(process.execPath, [tsc, '-p', project], dir)).toBe('');
  });
});

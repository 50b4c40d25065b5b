import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { freePort, startProcess } from '../support/process.js';
import { run } from './run.js';

const { root, full } = inject('packed');

/** What a Nest application has beside event-sessions and its peers. */
const INSTALLED = [
  ...['@nestjs', '@types', 'class-transformer', 'class-validator', 'express'],
  ...['nest-nsq-transport', 'reflect-metadata', 'rxjs', 'tslib'],
];

/** The options of `nest new` that matter for types and output. */
const NEST_OPTIONS = {
  target: 'ES2023',
  declaration: true,
  emitDecoratorMetadata: true,
  experimentalDecorators: true,
  esModuleInterop: true,
  strict: true,
  skipLibCheck: true,
  outDir: 'dist',
};

it.each([
  { name: 'of today', options: { module: 'nodenext', moduleResolution: 'nodenext', isolatedModules: true } },
  { name: 'of before', options: { module: 'commonjs', moduleResolution: 'node10' } },
])('the Nest example compiles and works in a CommonJS project $name', async ({ name, options }) => {
  const project = join(full, `nestjs-${name.replace(' ', '-')}`);
  await mkdir(join(project, 'node_modules'), { recursive: true });
  for (const installed of INSTALLED) {
    await symlink(join(root, 'node_modules', installed), join(project, 'node_modules', installed));
  }
  await cp(join(root, 'examples/nestjs'), join(project, 'src'), { recursive: true });
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'shop', private: true }));
  const compilerOptions = { ...NEST_OPTIONS, ...options };
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  expect(await run(process.execPath, [tsc, '-p', project], project)).toBe('');

  const port = await freePort();
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  const service = await startProcess(
    process.execPath,
    ['dist/main.js'],
    async () => {
      await fetch(`http://127.0.0.1:${port}/metrics`);
    },
    { cwd: project, env: { PATH: process.env.PATH, PORT: String(port) } },
  );
  try {
    await post('/sessions', { sessionId: 's-1' });
    const order = { type: 'order.placed', data: { orderId: 'o-1', total: 1 } };
    expect(await post('/sessions/s-1/events', order)).toMatchObject({ status: 201 });
    expect(await post('/sessions/s-1/events', { type: 'order.placed', data: {} })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_EVENT' },
    });
    expect(await post('/sessions/s-1/commit', {})).toMatchObject({ status: 200, body: { published: 1 } });
    expect(await post('/sessions/s-1/events', order)).toMatchObject({
      status: 409,
      body: { code: 'SESSION_NOT_OPEN' },
    });
  } finally {
    await service.stop();
  }
});

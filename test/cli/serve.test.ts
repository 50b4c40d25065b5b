import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  createEventSessions,
  type EventSessionsOptions,
  memoryContingency,
  memoryPublisher,
  memoryStore,
} from 'event-sessions';
import { describe, expect, test } from 'vitest';
import { describeWithAll } from '../support/services.js';
import { startBin } from './support/run-bin.js';
import { inFolder, runMain, withConfig } from './support/run-main.js';

const TOKEN = 'a-token-for-this-test';

describe('within this process', () => {
  /** Serves on memory until `use` is done, or has asked for the end itself. */
  async function serving(
    use: (url: string, end: () => void) => Promise<void>,
    { options = {}, env = {} }: { options?: EventSessionsOptions; env?: Record<string, string> } = {},
  ) {
    const parts = { store: memoryStore(), publisher: memoryPublisher(), contingency: memoryContingency() };
    Object.assign(globalThis, { configOfServe: { ...parts, ...options } });
    await withConfig('export default globalThis.configOfServe', async (cwd) => {
      const controller = new AbortController();
      const end = () => controller.abort('SIGTERM');
      let ended: ReturnType<typeof runMain> | undefined;
      const url = await new Promise<string>((resolve) => {
        const onStdout = (text: string) => resolve(text.replace('Serving on ', '').trim());
        ended = runMain(['serve', '--port', '0'], { cwd, env, onStdout, signal: controller.signal });
      });
      try {
        await use(url, end);
      } finally {
        end();
      }
      expect(await ended).toMatchObject({ code: 0 });
    });
  }

  test('nobody without the token gets more than a 401, whatever they send', async () => {
    await serving(
      async (url) => {
        const body = '{';
        const requests: [path: string, init: RequestInit][] = [
          ['/sessions', { method: 'POST', body, headers: { 'content-type': 'application/json' } }],
          ['/sessions', { method: 'POST', body, headers: { 'content-type': 'text/plain' } }],
          ['/sessions', { method: 'DELETE' }],
          ['/sessions', { method: 'OPTIONS' }],
          ['/nothing', {}],
        ];
        for (const [path, init] of requests)
          expect((await fetch(`${url}${path}`, init)).status, `${init.method} ${path}`).toBe(401);
      },
      { env: { EVENT_SESSIONS_TOKEN: TOKEN } },
    );
  });

  test('the logger of the config file hears of what fails', async () => {
    const logged: unknown[] = [];
    const quiet = () => {};
    const logger = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (message: string) => logged.push(message),
    };
    const store = { ...memoryStore(), read: async () => [] };
    await serving(
      async (url) => {
        const sessions = createEventSessions({ store, recovery: false, logger: false });
        const session = await sessions.startSession();
        await session.add('a', 1);
        expect((await fetch(`${url}/sessions/${session.id}/events`)).status).toBe(500);
        await sessions.close();
      },
      { options: { store, logger } },
    );
    expect(logged).toContain('An HTTP request failed');
  });

  test('only requests under way keep it from its end: their connections end with their answers, silent ones at once', async () => {
    await serving(async (url, end) => {
      const { hostname, port } = new URL(url);
      const silent = connect(Number(port), hostname).resume();
      const underWay = connect(Number(port), hostname);
      const head =
        'POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n';
      underWay.write(`${head}{`);
      // One that has been answered shows that those before have arrived.
      expect((await fetch(`${url}/health/live`)).status).toBe(200);
      end();
      await once(silent, 'close');
      underWay.write('}');
      const answer = Buffer.concat(await underWay.toArray()).toString();
      expect(answer).toMatch(/^HTTP\/1\.1 201 [\s\S]*^connection: close\r$/im);
    });
  });
});

describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => {
  const argumentsIn = (folder: string) => [
    ...['serve', '--port', '0', '--redis', redis.url, '--prefix', 'cli-serve', '--nsqd', nsqd.tcp],
    ...['--file', join(folder, 'log.jsonl')],
  ];

  /** Starts it, and answers what it says about where it is. */
  async function started(folder: string, env: Record<string, string> = {}) {
    const bin = startBin(argumentsIn(folder), { env });
    let text = '';
    bin.child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await bin.printed(/Serving on \S+\n/);
    return { bin, url: /Serving on (\S+)/.exec(text)?.[1] ?? '' };
  }

  const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });

  test('serves sessions, answers what is under way when it is asked to end, and ends', async () => {
    await inFolder(async (folder) => {
      const { bin, url } = await started(folder);
      const { sessionId } = (await (await post(`${url}/sessions`, {})).json()) as { sessionId: string };
      const events = Array.from({ length: 1_000 }, (_, n) => ({ type: 'cli-serve', data: { n } }));
      expect((await post(`${url}/sessions/${sessionId}/events`, events)).status).toBe(200);
      for (const path of ['/sessions', '/metrics']) expect((await fetch(`${url}${path}`)).status).toBe(403);
      expect((await post(`${url}/recover`, {})).status).toBe(403);

      let release = () => {};
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"expected'));
          release = () => {
            controller.enqueue(new TextEncoder().encode('Events":1000}'));
            controller.close();
          };
        },
      });
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body, duplex: 'half' };
      const underWay = fetch(`${url}/sessions/${sessionId}/commit`, init as RequestInit);
      // One that has been answered shows that the one before has arrived.
      expect((await fetch(`${url}/sessions/${sessionId}`)).status).toBe(200);
      bin.child.kill('SIGTERM');
      await bin.printed(/Stopping when the requests under way are answered/);
      await expect(fetch(`${url}/health/live`)).rejects.toThrow();
      release();
      expect(await (await underWay).json()).toMatchObject({ status: 'committed', published: 1_000 });
      expect(await bin.ended).toMatchObject({ code: 0 });
    });
  });

  test('with a token everything needs it, and it may do everything', async () => {
    await inFolder(async (folder) => {
      const { bin, url } = await started(folder, { EVENT_SESSIONS_TOKEN: TOKEN });
      for (const authorization of ['', 'Bearer', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
        const refused = await post(`${url}/sessions`, {}, { authorization });
        expect(refused.status, authorization).toBe(401);
        expect(refused.headers.get('www-authenticate')).toBe('Bearer');
        expect(refused.headers.get('content-type')).toBe('application/problem+json');
        expect(await refused.json()).toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
      }
      const headers = { authorization: `Bearer ${TOKEN}` };
      expect((await post(`${url}/sessions`, {}, headers)).status).toBe(201);
      expect((await fetch(`${url}/sessions?status=open`, { headers })).status).toBe(200);
      expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200);
      expect((await post(`${url}/recover`, {}, headers)).status).toBe(200);
      for (const open of ['/health/ready', '/health/live', '/openapi.json'])
        expect((await fetch(`${url}${open}`)).status).toBe(200);
      const taken = await runMain(['serve', '--port', new URL(url).port, ...argumentsIn(folder).slice(3)]);
      expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot listen on 127.0.0.1') });
      bin.child.kill('SIGINT');
      expect(await bin.ended).toMatchObject({ code: 0 });
    });
  });
});

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { messageOf } from '../core/errors.js';
import { type HttpHandler, routesOf } from '../http/handler.js';
import { HttpProblem, problemResponse } from '../http/problem.js';
import type { Command, CommandContext } from './command.js';
import { EXIT, UsageError } from './exit-codes.js';
import { mustOpenPublisher, mustOpenStore, openLog } from './parts.js';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = '3000';
const TOKEN_ENV = 'EVENT_SESSIONS_TOKEN';
const MIN_TOKEN = 16;
/** To everybody. */
const OPEN: ReadonlySet<string> = new Set(
  routesOf()
    .filter(({ action }) => action === undefined)
    .map(({ path }) => path),
);
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);
/** How long requests under way may take to end. `close()` of the sessions has its own bound behind it. */
const DRAIN_MS = 10_000;

export const serve: Command = {
  name: 'serve',
  summary: 'answer sessions over HTTP, for programs in other languages',
  description: [
    'Serves the routes of event-sessions/http, and runs recovery as every service does. Sessions live in the store, so\n' +
      'several may serve beside each other and beside services that use the library.',
    `With ${TOKEN_ENV} (at least ${MIN_TOKEN} characters) every request but those for health and /openapi.json needs\n` +
      '"Authorization: Bearer" and it, and may do everything. Without it only this machine is served, and to list\n' +
      'sessions, to recover and to read the metrics is refused.',
    'Under Docker or systemd run node_modules/.bin/event-sessions serve: npx does not pass SIGTERM on.',
  ],
  flags: {
    host: { type: 'string', value: 'ADDRESS', help: `where to listen (default ${DEFAULT_HOST})` },
    port: {
      type: 'string',
      value: 'PORT',
      help: `where to listen (default ${DEFAULT_PORT}, 0: any that is free)`,
    },
  },
  examples: [
    'event-sessions serve --redis redis://127.0.0.1:6379 --nsqd 127.0.0.1:4150',
    `${TOKEN_ENV}=$(cat /run/secrets/token) event-sessions serve --host 0.0.0.0 --port 8080`,
  ],
  exitCodes: [
    ['0', 'ended by Ctrl-C or SIGTERM, requests under way answered'],
    ['1', 'something failed'],
    ['2', 'wrong usage; the address is taken'],
    ['130', 'ended by a second Ctrl-C (143: SIGTERM), at once'],
  ],
  async run(context) {
    const { flags, settings, env, signal } = context;
    const host = (flags.host as string | undefined) ?? DEFAULT_HOST;
    const port = readPort((flags.port as string | undefined) ?? DEFAULT_PORT);
    const token = readToken(env[TOKEN_ENV]);
    if (token === undefined && !LOOPBACK.has(host))
      throw new UsageError(`--host ${host} is open to other machines: that needs a token in ${TOKEN_ENV}`);
    const store = await mustOpenStore(settings);
    const publisher = await mustOpenPublisher(settings);
    const contingency = await openLog(settings);
    const { createEventSessions } = await import('event-sessions');
    const { createHttpHandler, nodeListener } = await import('event-sessions/http');
    const sessions = createEventSessions({ ...settings.options, store, publisher, contingency });
    try {
      const { logger } = settings.options;
      const handle =
        token === undefined
          ? createHttpHandler(sessions, { logger })
          : needingToken(token, createHttpHandler(sessions, { logger, authorize: () => true }));
      const server = createServer(nodeListener(closingOnceAborted(signal, handle)));
      await listen(server, host, port);
      await served(server, context);
    } finally {
      await sessions.close();
    }
    return EXIT.ok;
  },
};

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`--port: expected a number from 0 to 65535, got ${JSON.stringify(text)}`);
}

/** Of the environment only: arguments can be seen by everybody on the machine. */
function readToken(text: string | undefined): string | undefined {
  if (!text) return undefined;
  if (text.length >= MIN_TOKEN && /^[!-~]+$/.test(text)) return text;
  throw new UsageError(`${TOKEN_ENV}: expected at least ${MIN_TOKEN} characters of ASCII without spaces`);
}

/**
 * In front of the routes: who has no token does not get a body read. Compares digests, so that neither the time nor the
 * length of a guess tells anything.
 */
export function needingToken(token: string, handle: HttpHandler): HttpHandler {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(token);
  return async (request) => {
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
    const may = OPEN.has(new URL(request.url).pathname) || timingSafeEqual(digest(given), expected);
    return may ? handle(request) : unauthorized();
  };
}

function unauthorized(): Response {
  const detail = 'The header Authorization must be Bearer and the access token';
  return problemResponse(new HttpProblem('UNAUTHORIZED', detail, { 'www-authenticate': 'Bearer' }));
}

/** A connection that is busy would bring one request behind the other, until it is cut in one of them. */
function closingOnceAborted(signal: AbortSignal, handle: HttpHandler): HttpHandler {
  return async (request) => {
    const response = await handle(request);
    if (signal.aborted) response.headers.set('connection', 'close');
    return response;
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new UsageError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`));
    });
    server.listen(port, host, resolve);
  });
}

/** Until the signal; then no connection is taken any more, and what is under way is answered. */
async function served(server: Server, { signal, stdout, stderr }: CommandContext): Promise<void> {
  const silent = new Set<Socket>();
  server.on('connection', (socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', ({ socket }) => silent.delete(socket));
  const { address, port, family } = server.address() as AddressInfo;
  stdout.line(`Serving on http://${family === 'IPv6' ? `[${address}]` : address}:${port}`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stderr.line('Stopping when the requests under way are answered. Press Ctrl-C again to stop at once.');
  const closed = new Promise((resolve) => server.close(resolve));
  // Those that have not brought a request yet are none of the idle ones of Node.
  for (const socket of silent) socket.destroy();
  // A connection that is kept alive would go on for seconds behind its last answer.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await closed;
  clearInterval(sweep);
  clearTimeout(late);
}

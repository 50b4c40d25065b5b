import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EventSessions } from 'event-sessions';
import { eventSessionsRouter } from 'event-sessions/express';
import { eventSessionsPlugin } from 'event-sessions/fastify';
import { createHttpHandler, type NodeRequest, type RouteOptions } from 'event-sessions/http';
import express from 'express';
import Fastify, { type FastifyRequest } from 'fastify';

export interface Edge {
  /** Where the routes are, such as `http://127.0.0.1:1234/events`. */
  readonly url: string;
  fetch(url: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

/** The request as each of them has it. */
export type EdgeRequest = Request | NodeRequest | FastifyRequest;

type Options = RouteOptions<EdgeRequest>;
type Start = (sessions: EventSessions, options?: Options) => Promise<Edge>;

export function headerOf(request: EdgeRequest, name: string): string | undefined {
  if (request instanceof Request) return request.headers.get(name) ?? undefined;
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Everything the routes can be mounted on. All but the first answer over real HTTP. */
export const EDGES: readonly (readonly [name: string, start: Start])[] = [
  [
    'the handler',
    async (sessions, options) => {
      const handle = createHttpHandler(sessions, { ...options, basePath: '/events' });
      return {
        url: 'http://localhost/events',
        fetch: (url, init) => handle(new Request(url, init)),
        close: async () => {},
      };
    },
  ],
  [
    'Express',
    (sessions, options) =>
      onExpress('/events', express().use('/events', eventSessionsRouter(sessions, options))),
  ],
  [
    'Express behind express.json()',
    (sessions, options) =>
      onExpress(
        '/events',
        express().use(express.json()).use('/events', eventSessionsRouter(sessions, options)),
      ),
  ],
  [
    'Express at a path with a parameter, in a router in a router',
    (sessions, options) => {
      const inner = express.Router().use('/of/:tenant', eventSessionsRouter(sessions, options));
      return onExpress('/api/of/a%2Fc%20me', express().use('/api', inner));
    },
  ],
  ['Fastify', (sessions, options) => onFastify('/events', '/events', sessions, options)],
  ['Fastify at its root', (sessions, options) => onFastify('', '', sessions, options)],
  [
    'Fastify at a prefix with parameters',
    (sessions, options) => onFastify('/of/:tenant/:a-:b(\\d+)/', '/of/a%2Fc%20me/x-1', sessions, options),
  ],
];

export async function onExpress(path: string, app: express.Express): Promise<Edge> {
  const server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    fetch,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function onFastify(
  prefix: string,
  path: string,
  sessions: EventSessions,
  options?: Options,
): Promise<Edge> {
  const app = Fastify({ forceCloseConnections: true });
  await app.register(eventSessionsPlugin(sessions, options), { prefix });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  return { url: `${address}${path}`, fetch, close: () => app.close() };
}

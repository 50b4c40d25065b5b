import type { FastifyPluginAsync } from 'fastify';
import type { EventSessions } from '../create-event-sessions.js';
import { createHttpHandler } from './handler.js';
import { answerNode } from './node.js';
import type { HttpOptions } from './options.js';

export type FastifyOptions = Omit<HttpOptions, 'basePath'>;

/**
 * The routes for `app.register(eventSessionsPlugin(sessions), { prefix: '/events' })`. Bodies below the prefix are read
 * by the plugin, within its own limits. Hooks of the application run as for any route.
 *
 * @throws `INVALID_INPUT` for options that are wrong; those are rejected by `app.ready()`
 */
export function eventSessionsPlugin(
  sessions: EventSessions,
  options: FastifyOptions = {},
): FastifyPluginAsync {
  return async (app) => {
    const handler = createHttpHandler(sessions, { ...options, basePath: app.prefix });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (_request, _payload, done) => done(null));
    app.all('/*', async (request, reply) => {
      const response = await answerNode(handler, request.raw);
      return reply
        .code(response.status)
        .headers(Object.fromEntries(response.headers))
        .send(Buffer.from(await response.arrayBuffer()));
    });
  };
}

import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { EventSessions } from '../create-event-sessions.js';
import { createRoutes } from './handler.js';
import { answerNode } from './node.js';
import type { RouteOptions } from './options.js';

export type FastifyOptions = RouteOptions<FastifyRequest>;

/**
 * The routes for `app.register(eventSessionsPlugin(sessions), { prefix: '/events' })`. The prefix may have parameters.
 * Bodies below it are read by the plugin, within its own limits. Hooks of the application run as for any route.
 *
 * @throws `INVALID_INPUT` for options that are wrong; those are rejected by `app.ready()`
 */
export function eventSessionsPlugin(
  sessions: EventSessions,
  options: FastifyOptions = {},
): FastifyPluginAsync {
  return async (app) => {
    const answer = createRoutes(sessions, options);
    // A parameter is one segment, like every part of a path.
    const segments = app.prefix.split('/').filter((part) => part !== '').length;
    const mountPoint = new RegExp(`^(?:/+[^/?]+){${segments}}`);
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (_request, _payload, done) => done(null));
    app.all('/*', async (request, reply) => {
      const { url = '' } = request.raw;
      const [mountedAt = ''] = mountPoint.exec(url) ?? [];
      const response = await answerNode(
        (web) => answer(web, request, mountedAt),
        request.raw,
        url.slice(mountedAt.length),
      );
      // One by one: there may be several cookies.
      for (const [name, value] of response.headers) reply.header(name, value);
      return reply.code(response.status).send(Buffer.from(await response.arrayBuffer()));
    });
  };
}

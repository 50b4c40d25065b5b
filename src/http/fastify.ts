import type { FastifyError, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { EventSessions } from '../event-sessions.js';
import { createRoutes } from './handler.js';
import { answerNode } from './node.js';
import type { RouteOptions } from './options.js';
import { HttpProblem, problemResponse } from './problem.js';

export type FastifyOptions = RouteOptions<FastifyRequest>;

/**
 * The routes for `app.register(eventSessionsPlugin(sessions), { prefix: '/events' })`. The prefix may have parameters.
 * Bodies below it are read by the plugin, within its own limits. Hooks of the application run as for any route.
 *
 * For an invalid option, `app.ready()` rejects with `INVALID_INPUT`.
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
    // A content type that cannot be read gets to no parser, and to no route. Other errors are of the application's
    // hooks.
    app.setErrorHandler((error: FastifyError, _request, reply) => {
      if (error.code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') throw error;
      return send(problemResponse(new HttpProblem('UNSUPPORTED_MEDIA_TYPE', error.message)), reply);
    });
    app.all('/*', async (request, reply) => {
      const { url = '' } = request.raw;
      const [mountedAt = ''] = mountPoint.exec(url) ?? [];
      const response = await answerNode(
        (web) => answer(web, request, mountedAt),
        request.raw,
        url.slice(mountedAt.length),
      );
      return send(response, reply);
    });
  };
}

async function send(response: Response, reply: FastifyReply): Promise<FastifyReply> {
  // One by one: there may be several cookies.
  for (const [name, value] of response.headers) reply.header(name, value);
  return reply.code(response.status).send(Buffer.from(await response.arrayBuffer()));
}

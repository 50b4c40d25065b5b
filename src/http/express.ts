import type { EventSessions } from '../event-sessions.js';
import { createRoutes } from './handler.js';
import { answerNode, type NodeListener, type NodeRequest, sendNode } from './node.js';
import type { RouteOptions } from './options.js';

export type ExpressOptions<R extends NodeRequest = NodeRequest> = RouteOptions<R>;

/**
 * The routes for `app.use('/events', eventSessionsRouter(sessions))`, before or after `express.json()`. It responds to
 * every request below its mount point and never calls `next`.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function eventSessionsRouter<R extends NodeRequest = NodeRequest>(
  sessions: EventSessions,
  options: ExpressOptions<R> = {},
): NodeListener<R> {
  const answer = createRoutes(sessions, options);
  return async (incoming, outgoing) =>
    sendNode(await answerNode((web) => answer(web, incoming, incoming.baseUrl), incoming), outgoing);
}

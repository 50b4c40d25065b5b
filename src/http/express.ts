import type { EventSessions } from '../create-event-sessions.js';
import { createHttpHandler } from './handler.js';
import { type NodeListener, nodeListener } from './node.js';
import type { HttpOptions } from './options.js';

export type ExpressOptions = Omit<HttpOptions, 'basePath'>;

/**
 * The routes for `app.use('/events', eventSessionsRouter(sessions))`, before or after `express.json()`. It answers every
 * request below its mount point and never calls `next`. Of Express it needs nothing but the `url` below that point.
 *
 * @throws `INVALID_INPUT` for options that are wrong
 */
export function eventSessionsRouter(sessions: EventSessions, options: ExpressOptions = {}): NodeListener {
  return nodeListener(createHttpHandler(sessions, options));
}

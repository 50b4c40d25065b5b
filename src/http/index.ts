/**
 * `event-sessions/http`: the routes on web-standard `Request` and `Response`, and as a listener of node:http.
 *
 * @module
 */
export { createHttpHandler, type HttpHandler } from './handler.js';
export type { PrometheusRegistry } from './metrics-controller.js';
export { type NodeListener, type NodeRequest, nodeListener } from './node.js';
export type { Authorize, HttpOptions, RouteOptions } from './options.js';
export { type Problem, type ProblemCode, type ProblemDetails, problemOf } from './problem.js';
export type { Action } from './route.js';

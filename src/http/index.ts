export { createHttpHandler, type HttpHandler } from './handler.js';
export type { PrometheusRegistry } from './metrics-controller.js';
export { type NodeListener, type NodeRequest, nodeListener } from './node.js';
export type { HttpOptions } from './options.js';
export type { ProblemCode } from './problem.js';
export type { Action } from './route.js';
